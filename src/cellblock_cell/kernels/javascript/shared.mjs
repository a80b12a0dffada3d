// What the main thread and the control thread know of each other without a message, which a busy thread would not take.

const { Atomics, Boolean, Int32Array, Number, Object, SharedArrayBuffer } = globalThis; // the user's code may give these names another meaning
const { load, notify, store, wait } = Atomics;
const [BEGUN, ENDED, STOPPING, HEARD, TERMINATED, DEBUGGED, CLOSED, COUNT] = [0, 1, 2, 3, 4, 5, 6, 7];

/** Numbers of calls, and how the control thread's debugger stands. */
export class Shared {
  constructor(memory = new SharedArrayBuffer(4 * COUNT)) {
    this.memory = memory;
    const words = new Int32Array(memory);
    const read = (place) => load(words, place) >>> 0;
    const property = (place, of = (value) => value) => ({ get: () => of(read(place)), set: (value) => store(words, place, Number(value)) });
    Object.defineProperties(this, {
      begun: property(BEGUN),
      ended: property(ENDED),
      stopping: property(STOPPING),
      heard: property(HEARD), // that it is to be stopped, and abandoned
      terminated: property(TERMINATED),
      isDebugged: property(DEBUGGED, Boolean),
      isClosed: {
        set: () => {
          store(words, CLOSED, 1);
          notify(words, CLOSED);
        },
      },
    });
    this.waitUntilClosed = (milliseconds) => wait(words, CLOSED, 0, milliseconds);
  }
}
