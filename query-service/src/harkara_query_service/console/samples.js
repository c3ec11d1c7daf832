/**
 * What was measured in the last minutes, and when nothing was: pure, the time is an argument.
 *
 * A stretch in which nothing is known is never bridged: a poll that failed, or a page nobody looked at, leaves a gap.
 */

/** @typedef {{at: number, values: Record<string, number> | null}} Sample */

export class Samples {
  /** @type {Sample[]} */
  #samples = [];
  #keepMs;
  #patienceMs;

  /**
   * @param {number} keepMs How long a sample is kept.
   * @param {number} patienceMs Two samples further apart than this have a gap between them.
   */
  constructor(keepMs, patienceMs) {
    this.#keepMs = keepMs;
    this.#patienceMs = patienceMs;
  }

  /**
   * @param {number} at Milliseconds; later than all before.
   * @param {Record<string, number> | null} values Null where there was no answer.
   */
  add(at, values) {
    this.#samples.push({ at, values });
    while (this.#samples[0].at < at - this.#keepMs) this.#samples.shift();
  }

  /** The last sample that has values. */
  get last() {
    return this.#samples.findLast((sample) => sample.values !== null) ?? null;
  }

  /**
   * One value's line since a moment.
   *
   * @param {string} name
   * @param {number} from
   * @returns {{points: [number, number | null][], gaps: [number, number][]}} Null breaks the line. A gap goes from the
   *   last value before it to the first after it.
   */
  line(name, from) {
    /** @type {[number, number | null][]} */
    const points = [];
    /** @type {[number, number][]} */
    const gaps = [];
    /** @type {Sample | null} */
    let good = null;
    let missing = false;
    let end = from;
    for (const sample of this.#samples) {
      if (sample.at < from) continue;
      const asleep = good !== null && sample.at - end > this.#patienceMs;
      end = sample.at;
      if (sample.values === null) {
        if (!missing) points.push([sample.at, null]);
        missing = true;
        continue;
      }
      if (asleep && !missing) points.push([(good?.at ?? sample.at) + 1, null]);
      if ((missing || asleep) && good !== null) gaps.push([good.at, sample.at]);
      else if (missing) gaps.push([from, sample.at]);
      points.push([sample.at, sample.values[name]]);
      good = sample;
      missing = false;
    }
    if (missing) gaps.push([good?.at ?? from, end]);
    return { points, gaps };
  }
}
