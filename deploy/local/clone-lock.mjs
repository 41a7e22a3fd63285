// A lock file in the clone, with nothing but Node's own modules. It ends with its holder and what the holder runs, however those end.
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** How long one waits for another: an install on a slow line, or a whole `npm test`, fits. */
const WAIT_MS = 40 * 60_000;
const POLL_MS = 200;

/**
 * Takes the lock; when another has it, `onWait` is told once and this waits. `running(pid)` adds a process that outlives a killed holder;
 * `release()` gives the lock back. Throws the system's error when the folder cannot be written.
 */
export async function takeLock(path, onWait) {
  const mine = `${path}.${process.pid}`;
  const write = (pids) => writeFileSync(mine, JSON.stringify(pids.map(identityOf)));
  const attempt = () => {
    write([process.pid]);
    const taken = linked(mine, path);
    // Nothing is left behind by whoever is interrupted while it waits.
    rmSync(mine, { force: true });
    return taken;
  };
  const deadline = Date.now() + WAIT_MS;
  for (let waited = false; !attempt(); waited = true) {
    if (!waited) onWait();
    if (Date.now() > deadline) throw new Error(`${path} is held for too long: remove it if nobody works there.`);
    breakIfAbandoned(path, `${mine}.broken`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return {
    running(pid) {
      write([process.pid, pid]);
      renameSync(mine, path);
    },
    release: () => rmSync(path, { force: true }),
  };
}

/** A hard link is made or not, in one step, and brings its content with it. */
function linked(from, to) {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

/** What was moved aside may be a newer lock than the one that was looked at: it is put back. */
function breakIfAbandoned(path, aside) {
  const text = read(path);
  if (text === null || holders(text).some(isSame)) return;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (read(aside) !== text) linked(aside, path);
  rmSync(aside, { force: true });
}

function holders(text) {
  try {
    return JSON.parse(text);
  } catch {
    return [];
  }
}

/** Start time (field 22 of proc(5)'s stat) and boot, because pids are used again; elsewhere than on Linux the pid alone. */
function identityOf(pid) {
  const stat = read(`/proc/${pid}/stat`) ?? '';
  const boot = read('/proc/sys/kernel/random/boot_id') ?? '';
  return { pid, startedAt: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '', boot: boot.trim() };
}

function isSame(known) {
  if (!isAlive(known.pid)) return false;
  const now = identityOf(known.pid);
  return now.startedAt === known.startedAt && now.boot === known.boot;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return !/\) Z/.test(read(`/proc/${pid}/stat`) ?? '');
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
