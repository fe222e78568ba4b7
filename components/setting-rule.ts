/** How a setting is read from its text. */
export interface Rule<T> {
  /** The value is never shown. */
  readonly secret?: true;
  readonly expected: string | ((text: string) => string);
  /** The value, or undefined when the text is none. */
  readonly parse: (text: string) => T | undefined;
}

export type Rules<T> = { readonly [Key in keyof T]: Rule<T[Key]> };

export const wholeNumber = (min: number, max: number): Rule<number> => ({
  expected: `a whole number from ${min} to ${max}`,
  parse: (text) => (/^\d{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined),
});
