/** What libzstd uses unless told otherwise (`ZSTD_CLEVEL_DEFAULT`). */
export const zstdDefaultLevel = 3;
