import { SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { ClusterSet } from "../src/write/cluster-set.ts";
import { ReservedClusters } from "../src/write/reserved-clusters.ts";

describe("a set of clusters", () => {
  it("tells of ranges what it tells of each cluster", () => {
    const random = new SeededRandom(7);
    const set = new ClusterSet();
    const members = new Set<number>();
    const add = (first: number, count: number): void => {
      set.addRange(first, count);
      for (let cluster = first; cluster < first + count; cluster++) {
        members.add(cluster);
      }
    };
    for (let count = 0; count < 60; count++) {
      add(random.integer(0, 2000), random.integer(1, 4));
    }
    add(2100, 300);
    add(2390, 260);
    for (let count = 0; count < 40; count++) {
      const cluster = random.integer(0, 2800);
      set.delete(cluster);
      members.delete(cluster);
    }
    for (let round = 0; round < 8000; round++) {
      const first = random.integer(0, 2800);
      const count = random.integer(0, 100);
      const any = Array.from({ length: count }, (_, index) => members.has(first + index)).includes(true);
      expect(set.hasAny(first, count), `${String(count)} from ${String(first)}`).toBe(any);
      expect(set.has(first)).toBe(members.has(first));
    }
    expect(set.hasAny(0, 100_000)).toBe(true);
    expect(set.hasAny(100_000, 200_000)).toBe(false);
  });
});

describe("reserved clusters", () => {
  it("tell how far a range is free", () => {
    const random = new SeededRandom(11);
    const reserved = new ReservedClusters();
    const ranges = new Map<number, number>();
    const isReserved = (cluster: number): boolean =>
      [...ranges].some(([first, count]) => cluster >= first && cluster < first + count);
    for (let round = 0; round < 4000; round++) {
      const first = random.integer(0, 120);
      const count = random.integer(1, 12);
      const free = Array.from({ length: count }, (_, index) => isReserved(first + index)).indexOf(true);
      expect(reserved.freeFrom(first, count)).toBe(free === -1 ? count : free);
      const [oldest] = ranges.keys();
      if (free === -1) {
        reserved.add(first, count);
        ranges.set(first, count);
      } else if (oldest !== undefined) {
        reserved.delete(oldest);
        ranges.delete(oldest);
      }
    }
    expect(ranges.size).toBeGreaterThan(0);
  });
});
