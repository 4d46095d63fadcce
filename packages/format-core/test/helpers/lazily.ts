/** An iterable whose members are made when they are asked for. */
export function lazily<T>(count: number, make: (index: number) => T): Iterable<T> {
  return {
    [Symbol.iterator]: () => {
      let index = 0;
      return { next: () => (index < count ? { done: false, value: make(index++) } : { done: true, value: undefined }) };
    },
  };
}
