/** Where images are built. */
export interface Workshop {
  /** An absolute path for a file of that name. */
  readonly file: (name: string) => string;
  readonly patternPath: (name: string) => string;
}
