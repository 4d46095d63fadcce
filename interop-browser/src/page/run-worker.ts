/**
 * Has a worker do something, and gives what it says until it is done or has failed. The worker ends with its work.
 * @param script - the worker's program
 * @throws Error when the worker can't be loaded, or dies
 */
export async function* runWorker<Reply extends { readonly kind: string }>(
  script: string,
  request: unknown,
): AsyncGenerator<Reply, void> {
  const worker = new Worker(script, { type: "module" });
  try {
    const replies = receive<Reply>(worker);
    worker.postMessage(request);
    for await (const reply of replies) {
      yield reply;
      if (reply.kind === "done" || reply.kind === "failed") return;
    }
  } finally {
    worker.terminate();
  }
}

function receive<Reply>(worker: Worker): ReadableStream<Reply> {
  return new ReadableStream({
    start: (controller) => {
      worker.onmessage = ({ data }: MessageEvent<Reply>) => {
        controller.enqueue(data);
      };
      worker.onerror = ({ message }) => {
        controller.error(new Error(`the worker failed: ${message}`));
      };
    },
  });
}
