/** Says that a connection ended before a request was answered: nobody knows whether the server has done it. Never leaves the package. */
export class LostConnection extends Error {
  override readonly name = "LostConnection";
  /** Why: an `ImgError`. */
  readonly reason: unknown;

  constructor(reason: unknown) {
    super("the connection was lost");
    this.reason = reason;
  }
}
