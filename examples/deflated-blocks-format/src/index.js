import { deflatedBlocks } from "./deflated-blocks.js";

export { deflatedBlocks, packDisk } from "./deflated-blocks.js";

/** For `img --plugin`. */
export const formats = [deflatedBlocks];
