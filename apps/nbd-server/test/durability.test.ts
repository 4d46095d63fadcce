import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { RunningServer } from "./support/img-nbd.ts";
import { nbdsh, tool } from "./support/run-tool.ts";
import { ScratchDirectory } from "./support/scratch-directory.ts";

const size = 16 * 2 ** 20;
const seed = process.env["IMG_SEED"] ?? "1";
const rounds = Math.max(1, Math.round(Number(process.env["IMG_INTEROP_SCALE"] ?? "1")));

/** The programs' common part: `--` in Python. A disk of numbers: each write fills a range with a number that tells where and when it was made. */
const prelude = `
import random, sys
rnd = random.Random("${seed} " + sys.argv[-1])
SIZE = ${size}
`;

test("four connections write at random, each where it likes, and the disk is what a model says", async () => {
  using directory = new ScratchDirectory();
  const image = await directory.image("model.qcow2", [], [String(size)]);
  const path = directory.file("sock");
  const model = directory.file("model.raw");
  await using server = await RunningServer.start(["-t", "-f", "qcow2", "-k", path, image]);
  await nbdsh(`${prelude}
handles = [h] + [nbd.NBD() for _ in range(3)]
for each in handles:
    each.connect_uri("${server.uri}")
model = bytearray(SIZE)
busy = []   # (handle, cookie, start, end, buffer)
def overlaps(start, end):
    return any(s < end and start < e for _, _, s, e, _ in busy)
def settle(until):
    while len(busy) > until:
        for entry in list(busy):
            handle, cookie = entry[0], entry[1]
            handle.poll(0)
            if handle.aio_command_completed(cookie):
                if callable(entry[4]):
                    entry[4]()
                busy.remove(entry)
for step in range(${800 * rounds}):
    length = rnd.choice([1, 511, 512, 4096, 5000, 65536, 70000, 200000])
    start = rnd.randrange(0, SIZE - length)
    if rnd.random() < 0.3:
        start &= ~65535
    end = min(SIZE, start + length)
    length = end - start
    while overlaps(start, end):
        settle(len(busy) - 1)
    handle = rnd.choice(handles)
    kind = rnd.randrange(10)
    if kind < 5:
        data = bytes([step % 255 + 1]) * length
        buffer = nbd.Buffer.from_bytearray(bytearray(data))
        model[start:end] = data
        cookie = handle.aio_pwrite(buffer, start, flags=nbd.CMD_FLAG_FUA if kind == 0 else 0)
        busy.append((handle, cookie, start, end, buffer))
    elif kind < 7:
        model[start:end] = bytes(length)
        cookie = handle.aio_zero(length, start, flags=nbd.CMD_FLAG_NO_HOLE if kind == 5 else 0)
        busy.append((handle, cookie, start, end, None))
    else:
        buffer = nbd.Buffer(length)
        expected = bytes(model[start:end])
        def check(buffer=buffer, expected=expected, start=start, step=step):
            assert bytes(buffer.to_bytearray()) == expected, (step, start)
        cookie = handle.aio_pread(buffer, start)
        busy.append((handle, cookie, start, end, check))
    settle(24)
    if step % 97 == 0:
        rnd.choice(handles).flush()
settle(0)
handles[2].flush()
open("${model}", "wb").write(model)
for each in handles:
    each.shutdown()
`);
  expect(await server.stop()).toBe(0);
  expect(await tool("qemu-img", "check", image)).toContain("No errors");
  expect(await tool("qemu-img", "compare", "-f", "raw", "-F", "qcow2", model, image)).toContain("identical");
});

test.each([1, 2, 3].slice(0, 1 + 2 * rounds))(
  "a server that is killed has lost nothing that was flushed, and left a sound image (%i)",
  async (round) => {
    using directory = new ScratchDirectory();
    const below = await directory.image("below.qcow2", ["write -P 0xb0 0 8M"], [String(size)]);
    const image = await directory.image("killed.qcow2", [], ["-b", below, "-F", "qcow2"]);
    const path = directory.file("sock");
    const promised = directory.file("promised");
    await using server = await RunningServer.start(["-t", "-f", "qcow2", "-k", path, image]);
    // blocks of 4 KiB: written ones are numbered; what is flushed is promised, what isn't may be old or new
    await nbdsh(`
import os, random, signal
rnd = random.Random("${seed} ${round}")
BLOCK, COUNT = 4096, ${size} // 4096
handles = [h, nbd.NBD()]
for each in handles:
    each.connect_uri("${server.uri}")
def old(block):
    return 0xb0 if block < COUNT // 2 else 0
possible = {}   # block -> set of numbers that it may have
flushed = {}
def flush():
    handles[rnd.randrange(2)].flush()
    for block, values in possible.items():
        flushed[block] = values[-1:]
    possible.clear()
for step in range(${150 + 170}):
    block = rnd.randrange(COUNT - 40)
    count = rnd.choice([1, 1, 3, 16, 33])
    value = step % 160 + 1
    zero = rnd.randrange(4) == 0
    fua = rnd.randrange(12) == 0
    flag = nbd.CMD_FLAG_FUA if fua else 0
    if zero:
        handles[step % 2].zero(count * BLOCK, block * BLOCK, flag)
    else:
        handles[step % 2].pwrite(bytes([value]) * (count * BLOCK), block * BLOCK, flag)
    for each in range(block, block + count):
        if fua:
            flushed[each] = [0 if zero else value]
            possible.pop(each, None)
        else:
            possible.setdefault(each, list(flushed.get(each, [old(each)]))).append(0 if zero else value)
    if step % 23 == 22:
        flush()
# some are under way when it happens
late = [handles[i % 2].aio_pwrite(nbd.Buffer.from_bytearray(bytearray([200]) * BLOCK), (COUNT - 1 - i) * BLOCK) for i in range(16)]
for i in range(16):
    possible.setdefault(COUNT - 1 - i, list(flushed.get(COUNT - 1 - i, [old(COUNT - 1 - i)]))).append(200)
os.kill(${String(server.process.pid)}, signal.SIGKILL)
lines = []
for block in range(COUNT):
    values = possible.get(block) or flushed.get(block) or [old(block)]
    lines.append(" ".join(str(value) for value in sorted(set(values))))
open("${promised}", "w").write("\\n".join(lines))
os._exit(0)
`);
    expect(await server.exit).toBe("SIGKILL");
    // clusters that nobody uses may be left, which costs space and nothing else
    const { corruptions } = JSON.parse(
      await tool("sh", "-c", `qemu-img check --output=json ${image} || test $? = 3`),
    ) as { readonly corruptions?: number };
    expect(corruptions ?? 0).toBe(0);
    const raw = directory.file("after.raw");
    await tool("qemu-img", "convert", "-O", "raw", image, raw);
    const wrong = await tool(
      "/usr/bin/python3",
      "-c",
      `
data = open("${raw}", "rb").read()
wrong = []
for block, line in enumerate(open("${promised}").read().split("\\n")):
    piece = data[block * 4096:(block + 1) * 4096]
    if len(set(piece)) != 1 or piece[0] not in [int(value) for value in line.split()]:
        wrong.append((block, sorted(set(piece)), line))
print(wrong)`,
    );
    expect(wrong).toBe("[]\n");
    writeFileSync(promised, "");
  },
);
