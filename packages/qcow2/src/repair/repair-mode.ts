/**
 * What to repair. `leaks`: lost space only, and COPIED flags where nothing else is wrong. `all`: everything that can be put right without losing
 * what can be read.
 */
export type RepairMode = "leaks" | "all";
