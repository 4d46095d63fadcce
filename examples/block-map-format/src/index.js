import { blockMap } from "./block-map.js";

export { blockMap } from "./block-map.js";

/** For `img --plugin`. */
export const formats = [blockMap];
