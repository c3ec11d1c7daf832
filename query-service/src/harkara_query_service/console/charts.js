/**
 * Lines that move with time, drawn by Apache ECharts on a canvas.
 *
 * Under the page's Content-Security-Policy ECharts may write no styles into the page: so no HTML tooltips, and no
 * renderer but the canvas. The module is large, so it is loaded when a chart is first wanted.
 */

/** @type {Promise<any> | null} */
let library = null;

/** @returns {Promise<any>} ECharts. */
function load() {
  library ??= import('/vendor/echarts.esm.min.js').catch((error) => {
    library = null; // So that it is tried again.
    throw error;
  });
  return library;
}

/** @param {string} name */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/**
 * A chart of one number over the last minutes.
 *
 * @param {HTMLElement} into Has a size.
 * @param {{name: string, colour: string, signal: AbortSignal}} options `colour`: a variable's name.
 * @returns {Promise<(chart: {points: [number, number | null][], gaps: [number, number][], from: number, to: number}) => void>}
 *   Draws: points are milliseconds and a value, null where there is none; gaps are drawn as such.
 */
export async function timeChart(into, { name, colour: variable, signal }) {
  const echarts = await load();
  if (signal.aborted) return () => {};
  const chart = echarts.init(into, null, { renderer: 'canvas' });
  const resizing = new ResizeObserver(() => chart.resize());
  resizing.observe(into);

  function dress() {
    const line = colour(variable);
    const text = colour('--muted');
    const font = colour('--sans');
    chart.setOption({
      animation: false,
      textStyle: { fontFamily: font },
      grid: { left: 16, right: 28, top: 12, bottom: 2, containLabel: true },
      tooltip: {
        trigger: 'axis',
        renderMode: 'richText',
        confine: true,
        backgroundColor: colour('--surface'),
        borderColor: colour('--line-strong'),
        textStyle: { color: colour('--text'), fontSize: 12 },
        axisPointer: { lineStyle: { color: colour('--line-strong') } },
        formatter: (/** @type {any} */ [{ value }]) =>
          `${new Date(value[0]).toLocaleTimeString('en-GB')}   ${value[1] ?? 'no answer'}`,
      },
      xAxis: {
        type: 'time',
        axisLine: { lineStyle: { color: colour('--line-strong') } },
        axisTick: { show: false },
        axisLabel: { color: text, fontSize: 11, hideOverlap: true, showMinLabel: false, showMaxLabel: false,
          formatter: (/** @type {number} */ at) => new Date(at).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' }) },
        splitLine: { show: false },
        splitNumber: 4,
      },
      yAxis: {
        type: 'value',
        min: 0,
        minInterval: 1,
        splitNumber: 3,
        axisLabel: { color: text, fontSize: 11 },
        splitLine: { lineStyle: { color: colour('--line') } },
      },
      series: [{
        id: 'line',
        name,
        type: 'line',
        step: 'end',
        showSymbol: false,
        connectNulls: false,
        lineStyle: { color: line, width: 2 },
        itemStyle: { color: line },
        areaStyle: { color: line, opacity: 0.12 },
        emphasis: { disabled: true },
        markArea: { silent: true, itemStyle: { color: colour('--bad-soft'), opacity: 0.8 } },
      }],
    });
  }

  dress();
  addEventListener('themechange', dress, { signal });
  signal.addEventListener('abort', () => {
    resizing.disconnect();
    chart.dispose();
  });
  return ({ points, gaps, from, to }) => {
    if (signal.aborted) return;
    chart.setOption({
      xAxis: { min: from, max: to },
      yAxis: { max: (/** @type {{max: number}} */ { max }) => (max > 0 ? null : 4) },
      series: [{
        id: 'line',
        data: points,
        markArea: { data: gaps.map(([start, end]) => [{ xAxis: start }, { xAxis: end }]) },
      }],
    });
  };
}
