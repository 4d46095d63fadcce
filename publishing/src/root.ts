import { dirname } from "node:path";

/** The root of the checkout, absolute. The tests run from the sources, the program from `dist`, both one level below the package. */
export const root: string = dirname(dirname(import.meta.dirname));
