'use strict';
// The figures of the report, from `report` (the data) and `statuses`, both written above this script.
(() => {
  const options = { renderer: 'svg', ast: true, actions: { export: true, source: false, compiled: false, editor: false } };
  const config = {
    font: 'system-ui, "Liberation Sans", Arial, sans-serif', background: '#ffffff',
    axis: { labelFontSize: 12, titleFontSize: 13, titleFontWeight: 'normal', gridColor: '#e4e7eb', labelColor: '#1e2126', titleColor: '#1e2126' },
    legend: { labelFontSize: 13, titleFontSize: 13, symbolSize: 110, symbolStrokeWidth: 0, labelLimit: 260 },
    view: { stroke: '#1e2126', strokeWidth: 0.6 },
  };
  const labels = report.methods.map(m => m.label);
  const color = { field: 'method', type: 'nominal', title: 'method', sort: null, scale: { domain: labels, range: report.methods.map(m => m.color) } };
  const shape = { field: 'method', type: 'nominal', title: 'method', sort: null, scale: { domain: labels, range: report.methods.map(m => m.shape) } };
  const dash = { field: 'method', type: 'nominal', title: 'method', sort: null, scale: { domain: labels, range: report.methods.map(m => m.dash) } };
  const byLegend = { name: 'chosen', select: { type: 'point', fields: ['method'] }, bind: 'legend' };
  // Vega-Lite makes a legend answer to clicks only if the first layer that has it holds the parameter.
  const shown = (on, off = 0.04) => ({ condition: { param: 'chosen', value: on }, value: off });
  const short = x => x === null ? 'not finite' : String(Number(x.toPrecision(5)));
  const tuple = x => '(' + x.map(short).join(', ') + ')';
  const units = ' (problem units)';
  const element = id => document.getElementById(id);

  // On a logarithmic axis of some decades, a line at each power of ten is enough.
  function decades(values) {
    const some = values.filter(v => v > 0), lo = Math.min(...some), hi = Math.max(...some), list = [];
    if (!(hi >= 30 * lo)) return { tickCount: 6 };
    const step = Math.ceil(Math.log10(hi / lo) / 8);
    for (let k = Math.ceil(Math.log10(lo) - 1e-9); k <= Math.log10(hi) + 1e-9; k += step) list.push(Number('1e' + k));
    return { values: list };
  }

  function draw(id, spec) {
    const at = element(id);
    if (!at) return Promise.resolve();
    return vegaEmbed(at, { $schema: 'https://vega.github.io/schema/vega-lite/v6.json', config, ...spec }, options)
      .then(r => { at.view = r.view; });
  }

  // Iterations and convergence along the axis.
  function curves() {
    const values = report.curve.map(c => ({
      method: labels[c.m], value: c.v, iterations: c.it, p90: c.p90, converged: c.c, loss: short(c.loss), samples: c.n,
    }));
    const its = values.map(v => v.iterations).filter(v => v !== null);
    const log = its.length > 0 && Math.max(report.limit, ...its) >= 3 * Math.min(...its) && values.every(v => v.iterations !== 0);
    const x = { field: 'value', type: 'quantitative', title: report.axis + ' (parameter of the problem)',
      scale: { type: report.log ? 'log' : 'linear', nice: false, padding: 12, ...(report.log ? {} : { zero: false }) }, axis: report.log ? decades(values.map(v => v.value)) : { tickCount: 8 } };
    const tooltip = [
      { field: 'method' }, { field: 'value', title: report.axis }, { field: 'iterations', title: 'iterations (median)' },
      { field: 'p90', title: 'iterations (90 %)' }, { field: 'converged', format: '.1%' }, { field: 'loss', title: 'loss (median)' }, { field: 'samples' }];
    const panel = (first, field, title, scale, height, axis) => ({
      width: 720, height,
      layer: [
        { mark: { type: 'line', strokeWidth: 2.2, invalid: 'break-paths-show-domains' }, ...(first ? { params: [byLegend] } : {}),
          encoding: { x, y: { field, type: 'quantitative', title, scale, axis }, color, strokeDash: dash, opacity: shown(1) } },
        { mark: { type: 'point', filled: true, size: 45, invalid: 'filter' },
          encoding: { x, y: { field, type: 'quantitative', title, scale, axis }, color, shape, opacity: shown(1), tooltip } },
      ],
    });
    return draw('curves', { data: { values }, vconcat: [
      ...(its.length ? [panel(true, 'iterations', 'median iterations' + (log ? ' (log)' : ''), { type: log ? 'log' : 'linear', nice: false, padding: 8, ...(log ? {} : { zero: true }) }, 240, log ? decades(its) : { tickCount: 6 })] : []),
      panel(!its.length, 'converged', 'fraction converged', { domain: [0, 1], padding: 8, nice: false }, 160, { format: '.0%', tickCount: 5 }),
    ] });
  }

  // The backdrop of a plane of inputs or outputs.
  const side = 360;
  function plane(f) {
    const layers = [];
    if (f.image) layers.push({ data: { values: [{ url: f.image }] }, mark: { type: 'image', width: side, height: side, aspect: false },
      encoding: { url: { field: 'url' }, x: { value: side / 2 }, y: { value: side / 2 } } });
    return layers;
  }
  function axes(f, xname, yname) {
    const [x0, x1, y0, y1] = f.view;
    const a = { grid: false, tickCount: 6 };
    return {
      x: { field: 'x', type: 'quantitative', title: xname + units, scale: { domain: [x0, x1], nice: false, zero: false }, axis: a },
      y: { field: 'y', type: 'quantitative', title: yname + units, scale: { domain: [y0, y1], nice: false, zero: false }, axis: a },
    };
  }
  function names(input) {
    if (input) return report.inputs.length > 1 ? [report.inputs[0], report.inputs[1]] : [report.inputs[0], 'loss L'];
    return report.outputs > 1 ? ['y0', 'y1'] : ['y0', 'loss L'];
  }
  function extras(f, at) {
    const layers = [];
    if (f.curve) layers.push({ data: { values: f.curve.map(([x, y]) => ({ x, y })) }, mark: { type: 'line', color: '#8c939d', clip: true }, encoding: { x: at.x, y: at.y } });
    return layers;
  }
  const star = 'M0,-1L0.2939,-0.4045L0.9511,-0.309L0.4755,0.1545L0.5878,0.809L0,0.5L-0.5878,0.809L-0.4755,0.1545L-0.9511,-0.309L-0.2939,-0.4045Z';
  function marks(f, at) {
    return { data: { values: f.marks.map(([x, y]) => ({ x, y, what: 'known minimum' })) },
      mark: { type: 'point', shape: star, size: 130, filled: true, color: '#1e2126', stroke: 'white', strokeWidth: 1, opacity: 1, clip: true },
      encoding: { x: at.x, y: at.y, tooltip: [{ field: 'what', title: 'this is a' }, { field: 'x' }, { field: 'y' }] } };
  }

  function paths(point, method) {
    const chosen = report.paths.filter(p => p.p === point && (method < 0 || p.m === method));
    const first = Math.min(...chosen.map(p => p.s));
    const list = method < 0 ? chosen.filter(p => p.s === first) : chosen;
    return Promise.all([['pathsx', 'x', true], ['pathsy', 'y', false]].map(([id, key, input]) => {
      const f = report.points[point][key];
      const [xn, yn] = names(input);
      const at = axes(f, xn, yn);
      const values = list.flatMap((p, i) => p.k.map((k, j) => ({ path: i, k, method: labels[p.m], start: p.s, status: p.st,
        x: p[key][j][0], y: p[key][j][1], loss: short(p.loss[j]) })));
      const tooltip = [{ field: 'method' }, { field: 'start' }, { field: 'k', title: 'iterate' }, { field: 'x', title: xn }, { field: 'y', title: yn },
        { field: 'loss' }, { field: 'status', title: 'ends' }];
      const legend = method < 0 && !input ? {} : { legend: null };
      return draw(id, { width: side, height: side, title: input ? 'in the inputs x' : 'in the outputs y = P(x)', data: { values },
        layer: [...plane(f), ...extras(f, at),
          { mark: { type: 'line', clip: true, strokeWidth: 1.8 }, encoding: { ...at, detail: { field: 'path' }, order: { field: 'k' },
            color: { ...color, ...legend }, ...(method < 0 ? { strokeDash: { ...dash, ...legend } } : {}) } },
          { mark: { type: 'point', clip: true, filled: true, size: 26, opacity: 1 }, encoding: { ...at, color: { ...color, ...legend }, tooltip } },
          { transform: [{ filter: 'datum.k === 0' }], mark: { type: 'point', clip: true, size: 90, strokeWidth: 1.5, opacity: 1 },
            encoding: { ...at, color: { ...color, ...legend }, tooltip } },
          marks(f, at)] });
    }));
  }

  // One step of each method.
  function updates(point) {
    const all = report.paths.filter(p => p.p === point);
    if (!all.length) return Promise.resolve();
    const first = Math.min(...all.map(p => p.s));
    const f = report.points[point].x;
    const [xn, yn] = names(true);
    const at = axes(f, xn, yn);
    const values = all.filter(p => p.s === first && p.k.length > 1 && p.k[1] === 1).map(p => ({ method: labels[p.m], x: p.x[0][0], y: p.x[0][1], x2: p.x[1][0], y2: p.x[1][1],
      from: tuple(p.x[0]), to: p.far.includes(1) ? 'far beyond the frame' : tuple(p.x[1]), loss: short(p.loss[0]), loss2: short(p.loss[1]), width: report.methods[p.m].width }));
    const tooltip = [{ field: 'method' }, { field: 'from' }, { field: 'to' }, { field: 'loss', title: 'loss before' }, { field: 'loss2', title: 'loss after' }];
    const end = { x: { ...at.x, field: 'x2' }, y: { ...at.y, field: 'y2' } };
    return draw('updates', { width: side, height: side, data: { values }, layer: [...plane(f), ...extras(f, at),
      { params: [byLegend], mark: { type: 'rule', clip: true }, encoding: { ...at, x2: { field: 'x2' }, y2: { field: 'y2' }, color, size: { field: 'width', type: 'quantitative', scale: null, legend: null }, opacity: shown(1), tooltip } },
      { mark: { type: 'point', filled: true, size: 70, clip: true, stroke: 'white', strokeWidth: 0.8 }, encoding: { ...end, color, shape, opacity: shown(1), tooltip } },
      { transform: [{ sample: 1 }], mark: { type: 'point', size: 60, filled: true, color: '#1e2126', opacity: 1, clip: true }, encoding: at }, marks(f, at)] });
  }

  // The samples of one method, by where they start.
  const rows = c => c.s.map((s, i) => ({ method: labels[c.m], start: s, from: report.starts[s], to: c.x[i], loss: c.loss[i], iterations: c.it[i],
    evaluations: c.ev[i], status: statuses[c.st[i]], c: c.c[i] }));
  const sampleTip = [{ field: 'method' }, { field: 'start' }, { field: 'at', title: 'starts at' }, { field: 'status' }, { field: 'lossText', title: 'loss' },
    { field: 'iterations' }, { field: 'evaluations' }, { field: 'end', title: 'ends at' }];
  const dress = r => ({ ...r, at: tuple(r.from), end: tuple(r.to), lossText: short(r.loss) });

  const outcomeShapes = ['circle', 'square', 'triangle-up', 'diamond', 'triangle-down', 'triangle-right']; // of minima
  function starts(point, method) {
    const cloud = report.samples.find(c => c.p === point && c.m === Math.max(method, 0));
    const classes = report.classes.filter(c => c.p === point);
    const label = new Map(classes.map(c => [c.c, c.label]));
    const plain = report.inputs.length === 1;
    const values = (cloud ? rows(cloud) : []).map(dress).map(r => ({ ...r, outcome: label.get(r.c), x: r.from[0], y: plain ? r.loss : r.from[1] }));
    const used = classes.filter(c => values.some(v => v.c === c.c));
    const f = report.points[point].x;
    const yname = plain ? 'final loss L' : report.inputs[1];
    const pad = { nice: false, zero: false, padding: 10 };
    const at = { x: { field: 'x', type: 'quantitative', title: report.inputs[0] + ' of the start' + units, scale: pad, axis: { tickCount: 7 } },
      y: { field: 'y', type: 'quantitative', title: yname + (plain ? '' : ' of the start') + units, scale: pad, axis: { tickCount: 7 } } };
    const layers = [{ params: [{ name: 'outcomes', select: { type: 'point', fields: ['outcome'] }, bind: 'legend' }],
      mark: { type: 'point', filled: true, size: 42 },
      encoding: { ...at, color: { field: 'outcome', type: 'nominal', title: 'outcome', sort: null, scale: { domain: used.map(c => c.label), range: used.map(c => c.color) } },
        shape: { field: 'outcome', type: 'nominal', title: 'outcome', sort: null, scale: { domain: used.map(c => c.label), range: used.map(c => c.c < 0 ? ['cross', 'triangle-left'][-1 - c.c] : outcomeShapes[c.c]) } },
        opacity: { condition: { param: 'outcomes', value: 0.85 }, value: 0.04 }, tooltip: sampleTip } }];
    if (!plain) layers.push(marks(f, at));
    return draw('starts', { width: 460, height: 430, title: labels[Math.max(method, 0)] + ', ' + report.points[point].label, data: { values }, layer: layers });
  }

  // Final losses in order, with places for what a logarithm cannot show.
  function waterfall(point) {
    const all = [];
    let negative = false;
    for (const c of report.samples.filter(c => c.p === point)) {
      const list = rows(c).map(dress).sort((a, b) => (a.loss ?? Infinity) - (b.loss ?? Infinity));
      list.forEach((r, i) => all.push({ ...r, rank: list.length > 1 ? i / (list.length - 1) : 0.5 }));
    }
    const positive = all.map(r => r.loss).filter(l => l !== null && l > 0);
    negative = all.some(r => r.loss !== null && r.loss < 0);
    const some = all.map(r => r.loss).filter(l => l !== null);
    const lo = positive.length ? Math.min(...positive) : 1, hi = positive.length ? Math.max(...positive) : 1;
    const decades = Math.max(Math.log10(hi / lo), 1) * 0.07;
    const floor = lo / 10 ** decades, top = negative ? Math.max(...some) : hi * 10 ** decades;
    const lines = [];
    if (!negative && all.some(r => r.loss === 0)) lines.push({ y: floor, text: 'exactly 0' });
    if (all.some(r => r.loss === null)) lines.push({ y: top, text: 'not finite' });
    const values = all.map(r => ({ ...r, y: r.loss === null ? top : r.loss === 0 && !negative ? floor : r.loss }));
    const scale = negative ? { type: 'symlog', constant: 1, nice: false } : { type: 'log', nice: false, padding: 10 };
    const y = { field: 'y', type: 'quantitative', title: 'final loss L' + units, scale, axis: { format: '.0e', tickCount: 8 } };
    const x = { field: 'rank', type: 'quantitative', title: 'fraction of the starts, sorted by final loss', scale: { domain: [0, 1], padding: 8, nice: false }, axis: { tickCount: 6 } };
    return draw('waterfall', { width: 720, height: 330, title: report.points[point].label, data: { values }, layer: [
      ...(lines.length ? [{ data: { values: lines }, mark: { type: 'rule', color: '#8c939d', strokeDash: [3, 3] }, encoding: { y } },
      { data: { values: lines }, mark: { type: 'text', align: 'right', baseline: 'bottom', dy: -3, color: '#555c66', fontSize: 12 }, encoding: { y, x: { value: 718 }, text: { field: 'text' } } }] : []),
      { params: [byLegend], mark: { type: 'line', strokeWidth: 1.6 }, encoding: { x, y, color, strokeDash: dash, opacity: shown(1) } },
      { mark: { type: 'point', filled: true, size: 22 }, encoding: { x, y, color, opacity: shown(0.9), tooltip: sampleTip } }] });
  }

  // The table sorts by the column whose heading is clicked; a second click turns the order round.
  function sortable() {
    const table = element('summary'), body = table.tBodies[0];
    const value = (row, k) => row.cells[k].dataset.key;
    table.querySelectorAll('th').forEach((th, k) => th.firstChild.addEventListener('click', () => {
      const down = th.getAttribute('aria-sort') === 'ascending';
      table.querySelectorAll('th').forEach(h => h.removeAttribute('aria-sort'));
      th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const list = [...body.rows].sort((a, b) => {
        const p = value(a, k), q = value(b, k);
        if (p === '' || q === '') return (p === '') - (q === ''); // what is missing comes last
        const order = k === 0 ? (p < q ? -1 : p > q ? 1 : 0) : p === q ? 0 : Number(p) - Number(q);
        return down ? -order : order;
      });
      body.append(...list);
    }));
  }

  const slider = element('point'), select = element('method');
  function refresh() {
    const point = slider ? Number(slider.value) : 0, method = select ? Number(select.value) : 0;
    if (element('where')) element('where').textContent = report.points[point].label;
    return Promise.all([report.paths.length ? paths(point, method) : null, updates(point), starts(point, method), waterfall(point)]);
  }
  if (select) {
    if (report.paths.length) select.add(new Option('all (one start; dots: ' + labels[0] + ')', -1));
    labels.forEach((l, i) => select.add(new Option(l, i)));
    select.addEventListener('change', refresh);
  }
  if (slider) {
    slider.max = report.points.length - 1;
    slider.value = report.at;
    slider.addEventListener('input', refresh);
  }
  // A double click forgets what was chosen in a legend, by drawing anew.
  document.querySelectorAll('.chart').forEach(c => c.addEventListener('dblclick', c.id === 'curves' ? curves : refresh));
  sortable();
  document.body.dataset.ready = 'no';
  Promise.all([element('curves') ? curves() : null, refresh()]).then(() => { document.body.dataset.ready = 'yes'; });
})();
