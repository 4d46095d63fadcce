import type { FormatAccess, Storage } from "@img/format-core";
import { blobStorage } from "@img/storage-adapters";
import { chosenFilesGate, formats } from "../shared/chosen-files.ts";

/** Opens a chosen image for reading. What its headers name is opened only if it was chosen too. */
export function openChosen(image: File, others: readonly File[]): Promise<FormatAccess> {
  const toStorage = (file: File): Storage => blobStorage(file);
  return formats.open(toStorage(image), { gate: chosenFilesGate(others, toStorage) });
}
