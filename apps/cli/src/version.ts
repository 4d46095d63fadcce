declare const __IMG_VERSION__: string | undefined;

/** The version of this program; unknown when it runs from its sources. */
export const version: string = typeof __IMG_VERSION__ === "string" ? __IMG_VERSION__ : "0.0.0-source";
