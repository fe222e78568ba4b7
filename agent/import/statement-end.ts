/** How far bytes were looked at; what is behind is to be shown again, with more. */
interface Seen {
  readonly at: number;
  /** What was looked for is right before it. */
  readonly found: boolean;
}

/** Looks for the end of what has begun before `at`. */
type Quote = (bytes: Buffer, at: number) => Seen;

// ' " $ ; - / * \
const [apostrophe, quotes, dollar, semicolon] = [0x27, 0x22, 0x24, 0x3b];
const [minus, slash, star, backslash] = [0x2d, 0x2f, 0x2a, 0x5c];

/**
 * Finds the semicolon a statement ends with, as psql does where `standard_conforming_strings` is on: none in a text, a name, a body or
 * a comment is one. That of a statement in a body of SQL's own, BEGIN ATOMIC, is: neither `COPY` nor `SET` can begin behind it.
 */
export class StatementEnd {
  /** It has EXTRACT, whose field PostgreSQL writes into SQL as it is, and an owner may have made any text of it. */
  hasExtract = false;
  private quote: Quote | undefined;

  find(bytes: Buffer, from: number): Seen {
    for (let at = from; at < bytes.length;) {
      if (this.quote !== undefined) {
        const end = this.quote(bytes, at);
        if (!end.found) return end;
        this.quote = undefined;
        at = end.at;
        continue;
      }
      const byte = bytes[at];
      const next = bytes[at + 1];
      if (isOfWord(byte)) {
        const end = wordEnd(bytes, at);
        if (end === bytes.length) return { at, found: false };
        const isPrefix = end === at + 1 && (byte === 0x45 || byte === 0x65) && bytes[end] === apostrophe;
        if (isPrefix) this.quote = escaped;
        if (end === at + extract.length && bytes.toString("latin1", at, end).toUpperCase() === extract)
          this.hasExtract = true;
        at = isPrefix ? end + 1 : end;
        continue;
      }
      if (byte === semicolon) return { at: at + 1, found: true };
      if (byte === dollar) {
        const end = wordEnd(bytes, at + 1, false);
        if (end === bytes.length) return { at, found: false };
        const isTag = bytes[end] === dollar && !isDigit(next);
        // A copy: the chunk it is in is given to nobody else to keep.
        if (isTag) this.quote = until(Buffer.from(bytes.subarray(at, end + 1)));
        at = end + (isTag ? 1 : 0);
        continue;
      }
      if (byte === minus || byte === slash) {
        if (next === undefined) return { at, found: false };
        const isLine = byte === minus && next === minus;
        if (isLine) this.quote = until(Buffer.from("\n"));
        else if (byte === slash && next === star) this.quote = nested();
        at += this.quote === undefined ? 1 : 2;
        continue;
      }
      if (byte === apostrophe || byte === quotes) this.quote = until(Buffer.of(byte));
      at += 1;
    }
    return { at: bytes.length, found: false };
  }
}

const extract = "EXTRACT";

const isDigit = (byte: number | undefined) => byte !== undefined && byte >= 0x30 && byte <= 0x39;

/** Letters, digits, `_` and whatever is not ASCII. */
const isOfWord = (byte: number | undefined) =>
  byte !== undefined &&
  (byte >= 0x80 || byte === 0x5f || isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a));

function wordEnd(bytes: Buffer, from: number, withDollar = true): number {
  let at = from;
  while (isOfWord(bytes[at]) || (withDollar && bytes[at] === dollar)) at++;
  return at;
}

/** The same mark twice is the end of one and the beginning of another. */
function until(mark: Buffer): Quote {
  return (bytes, at) => {
    const end = bytes.indexOf(mark, at);
    if (end >= 0) return { at: end + mark.length, found: true };
    return { at: Math.max(at, bytes.length - mark.length + 1), found: false };
  };
}

/** `E'…'`: a backslash takes what is behind it along. */
const escaped: Quote = (bytes, from) => {
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== backslash && byte !== apostrophe) continue;
    const next = bytes[at + 1];
    if (next === undefined) return { at, found: false };
    if (byte === apostrophe && next !== apostrophe) return { at: at + 1, found: true };
    at += 1;
  }
  return { at: bytes.length, found: false };
};

/** A comment that may have others in it. */
function nested(): Quote {
  let depth = 1;
  return (bytes, from) => {
    for (let at = from; at < bytes.length; at++) {
      const [byte, next] = [bytes[at], bytes[at + 1]];
      if (byte !== slash && byte !== star) continue;
      if (next === undefined) return { at, found: false };
      if (byte === next || (next !== slash && next !== star)) continue;
      depth += byte === slash ? 1 : -1;
      at += 1;
      if (depth === 0) return { at: at + 1, found: true };
    }
    return { at: bytes.length, found: false };
  };
}
