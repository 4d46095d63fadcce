import { describeError } from "../shared/describe-error.ts";
import { element } from "./element.ts";
import { showImage } from "./image-panel.ts";
import { makeOverlay } from "./overlay-panel.ts";
import { readRemote } from "./remote-panel.ts";

const imageInput = element("image", HTMLInputElement);
const othersInput = element("others", HTMLInputElement);
const overlayButton = element("write-overlay", HTMLButtonElement);
const failure = element("failure", HTMLElement);

/** The image that was chosen last, and what it may open. */
function chosen(): { readonly image: File; readonly others: readonly File[] } | undefined {
  const image = imageInput.files?.[0];
  return image === undefined ? undefined : { image, others: [...(othersInput.files ?? [])] };
}

/** Runs one thing at a time, and shows why it failed if it does. `data-state` of the body says how it stands. */
async function run(work: () => Promise<void>): Promise<void> {
  if (document.body.dataset["state"] === "busy") return;
  document.body.dataset["state"] = "busy";
  failure.hidden = true;
  try {
    await work();
    document.body.dataset["state"] = "done";
  } catch (error) {
    showFailure(error);
    document.body.dataset["state"] = "failed";
  }
}

function showFailure(error: unknown): void {
  const { code, message, hint = "" } = describeError(error);
  element("failure-code", HTMLElement).textContent = code;
  element("failure-message", HTMLElement).textContent = message;
  element("failure-hint", HTMLElement).textContent = hint;
  failure.hidden = false;
}

function open(): void {
  const files = chosen();
  if (files === undefined) return;
  element("image-panel", HTMLElement).hidden = true;
  element("overlay-result", HTMLElement).hidden = true;
  element("edits", HTMLElement).replaceChildren();
  void run(() => showImage(files.image, files.others));
}

imageInput.addEventListener("change", open);
othersInput.addEventListener("change", open);
overlayButton.addEventListener("click", () => {
  const files = chosen();
  if (files !== undefined) void run(() => makeOverlay(files.image, files.others));
});
element("remote", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  element("remote-panel", HTMLElement).hidden = true;
  void run(() => readRemote(element("remote-url", HTMLInputElement).value));
});
document.body.dataset["state"] = "ready";
