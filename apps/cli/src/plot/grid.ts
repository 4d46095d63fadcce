/** Squares in columns and rows, each drawn or not. */
export class Grid {
  readonly columns: number;
  readonly rows: number;
  readonly #width: number;
  readonly #height: number;
  readonly #drawn: Uint8Array;

  /** @param width - what the columns stand for together; `height` - what the rows do */
  constructor(columns: number, rows: number, width: number, height: number) {
    this.columns = columns;
    this.rows = rows;
    this.#width = Math.max(1, width);
    this.#height = Math.max(1, height);
    this.#drawn = new Uint8Array(columns * rows);
  }

  /** Draws a line from (`x`, `y`) that gains `length` both ways. */
  addDiagonal(x: number, y: number, length: number): void {
    const perStep = Math.min(this.#width / this.columns, this.#height / this.rows) / 2;
    for (let done = 0; done < length; done += perStep) {
      const column = Math.floor(((x + done) / this.#width) * this.columns);
      const row = Math.floor(((y + done) / this.#height) * this.rows);
      if (column < this.columns && row < this.rows) {
        this.#drawn[row * this.columns + column] = 1;
      }
    }
  }

  /** The runs of squares in a row that are drawn. */
  *runs(row: number): Generator<readonly [column: number, length: number], void, undefined> {
    const squares = this.#drawn.subarray(row * this.columns, (row + 1) * this.columns);
    for (let from = squares.indexOf(1); from >= 0;) {
      const to = squares.indexOf(0, from);
      const end = to < 0 ? squares.length : to;
      yield [from, end - from];
      from = squares.indexOf(1, end);
    }
  }
}
