import type { OverlayReply, OverlayRequest } from "../shared/overlay-messages.ts";

/**
 * Has a worker write an overlay, and tells what it says. The worker ends with its work.
 * @throws Error when the worker can't be loaded, or dies
 */
export async function* runOverlayWorker(request: OverlayRequest): AsyncGenerator<OverlayReply, void> {
  const worker = new Worker("overlay-worker.js", { type: "module", name: "overlay" });
  try {
    const replies = receive(worker);
    worker.postMessage(request);
    for await (const reply of replies) {
      yield reply;
      if (reply.kind === "done" || reply.kind === "failed") return;
    }
  } finally {
    worker.terminate();
  }
}

function receive(worker: Worker): ReadableStream<OverlayReply> {
  return new ReadableStream({
    start: (controller) => {
      worker.onmessage = ({ data }: MessageEvent<OverlayReply>) => {
        controller.enqueue(data);
      };
      worker.onerror = ({ message }) => {
        controller.error(new Error(`the worker failed: ${message}`));
      };
    },
  });
}
