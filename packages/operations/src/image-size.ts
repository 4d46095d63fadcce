import { alignDown, alignUp, type FormatAccess } from "@img/format-core";

/** What qemu-img counts disks in, whatever they are stored in. */
const sectorSize = 512;

/**
 * The size in bytes that qemu-img reports for an image: whole sectors. A raw file's last sector is filled up with zeroes; formats that
 * record a size lose what goes beyond whole sectors.
 */
export function sectorAlignedSize(image: Pick<FormatAccess, "driver" | "size">): number {
  return alignToSectors(image.driver.format, image.size);
}

/** {@link sectorAlignedSize} of an image that is only described. */
export function alignToSectors(format: string, size: number): number {
  return format === "raw" ? alignUp(size, sectorSize) : alignDown(size, sectorSize);
}
