/** Why an option is refused: the type of the reply, and a message that the client gets to see. */
export class OptionRefusal extends Error {
  readonly type: number;

  constructor(type: number, message: string) {
    super(message);
    this.type = type;
  }
}
