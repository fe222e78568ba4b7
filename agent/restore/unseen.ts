import type { Replay, RestoredServer } from "./restored-server";

/**
 * Where a server is that lets nobody in, when it gets no further. PostgreSQL lets nobody in while a transaction with more written
 * savepoints than it keeps in memory (64) is open since the base backup, whose parts it does not know; and nobody gets in where an
 * open transaction has what every login needs, as who asks for pg_authid in vain. Both are over when the recovery is ended.
 */
export class Unseen {
  private looks = 0;
  private was: "at the target" | "at the end" | undefined;

  constructor(private readonly server: Pick<RestoredServer, "isPaused" | "waited">) {}

  /** @param found what it answered when it was asked; undefined: nothing */
  after(found: Replay | undefined): "at the target" | "at the end" | undefined {
    // Only looks that began when it was there already.
    this.looks = found === undefined && this.was !== undefined ? this.looks + 1 : 0;
    this.was = this.place();
    return this.looks >= 3 ? this.was : undefined;
  }

  private place(): "at the target" | "at the end" | undefined {
    if (this.server.isPaused()) return "at the target";
    return this.server.waited() >= 5 ? "at the end" : undefined;
  }
}
