// Where things stand: time to x with idle stretches folded, lanes to y.
Q.FOLD = 150;
Q.FOLDED = 36;
Q.LEFT = 132;
Q.AXIS = 26;

// `zoom`: pixels for a ms.
Q.timeline = function (m, zoom, pings, folded) {
  const T = [], X = [], folds = [];
  const fold = folded ? Math.max(40, Math.min(Q.FOLD, 6e6 / Math.max(m.n, 1))) : Infinity;
  let x = 0, last = m.start;
  T.push(last);
  X.push(0);
  for (let e = 0; e <= m.n; e++) {
    if (e < m.n && m.boring[e] && !pings) continue;
    const t = e < m.n ? m.t[e] : m.end;
    if (t <= last) continue;
    const width = (t - last) / 1000 * zoom;
    if (width > fold) {
      folds.push({ x, t0: last, t1: t });
      x += Q.FOLDED;
    } else {
      x += width;
    }
    T.push(t);
    X.push(x);
    last = t;
  }
  const find = (list, v) => { let lo = 0, hi = list.length - 1; while (lo < hi) { const mid = (lo + hi + 1) >> 1; if (list[mid] <= v) lo = mid; else hi = mid - 1; } return lo; };
  const between = (from, to, v) => {
    const i = find(from, v);
    if (i >= from.length - 1) return to[to.length - 1];
    const width = from[i + 1] - from[i];
    return to[i] + (width > 0 ? (v - from[i]) / width * (to[i + 1] - to[i]) : 0);
  };
  return { zoom, width: x, folds, x: (t) => between(T, X, t), t: (px) => between(X, T, px) };
};

// Lanes from the top: faults above, then servers, then clients.
Q.lanes = function (m, dense) {
  const big = !dense;
  const out = { big, rows: [], height: 0 };
  let y = 10;
  for (const lane of m.lanes) {
    let h;
    if (lane.kind === 'client') h = big ? 14 + lane.rows * 15 : 10 + lane.rows * 7;
    else if (lane.kind === 'outside') h = 44;
    else h = big ? 103 : 44;
    const row = { lane, y, h, life: lane.kind === 'server' ? (big ? y + 37 : y + 16) : lane.kind === 'client' ? y + h - 7 : y + h / 2 };
    if (lane.kind === 'server') {
      row.band = big ? 16 : 9;
      row.tracks = big ? y + 54 : y + 24;
      row.track = big ? 9.5 : 3;
      row.disk = big ? y + 92 : y + 37;
      row.diskH = big ? 11 : 6;
    }
    out.rows[lane.i] = row;
    y += h + (lane.kind === 'client' ? 6 : big ? 16 : 8);
  }
  out.height = y + 10;
  return out;
};

// Faults in as few rows as it takes, at most `max`.
Q.faultRows = function (m, max) {
  const ends = [];
  let rows = 1;
  for (const f of [...m.faults].sort((a, b) => a.t0 - b.t0)) {
    let row = ends.findIndex((end) => end <= f.t0);
    if (row < 0) row = ends.length < max ? ends.length : 0;
    f.row = row;
    ends[row] = Math.max(f.t1, f.t0 + (m.end - m.start) / 400);
    rows = Math.max(rows, row + 1);
  }
  return m.faults.length ? rows : 0;
};
