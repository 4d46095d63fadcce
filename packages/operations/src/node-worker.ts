import { beginThread } from "./node/begin-thread.ts";
import { serveJob } from "./node/serve-job.ts";

// The entry of the threads that `convertImages` and `compareThreads` start, and of those that wait for them.
beginThread(serveJob);
