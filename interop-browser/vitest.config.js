import { packageTests } from "@img/tooling/vitest";

export default packageTests();
