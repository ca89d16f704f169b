// What is drawn on top: glyphs, faults, the veil of a cone, the violation, the cursor, the axis and the names of lanes.
const SHAPES = {
  // A path around (0, 0), filled or stroked.
  start: ['stroke', (c) => { c.moveTo(0, -6); c.lineTo(6, 5); c.lineTo(-6, 5); c.closePath(); }],
  recovered: ['fill', (c) => { c.moveTo(0, -6); c.lineTo(6, 5); c.lineTo(-6, 5); c.closePath(); }],
  stop: ['stroke', (c) => { c.moveTo(-6, -6); c.lineTo(6, 6); c.moveTo(-6, 6); c.lineTo(6, -6); }],
  star: ['fill', (c) => { for (let i = 0; i < 10; i++) { const r = i % 2 ? 3.2 : 7.5, a = i * Math.PI / 5 - Math.PI / 2; c.lineTo(r * Math.cos(a), r * Math.sin(a)); } c.closePath(); }],
  vote: ['stroke', (c) => { c.arc(0, 0, 4.5, 0, 7); }],
  propose: ['fill', (c) => { c.moveTo(0, -5); c.lineTo(5, 0); c.lineTo(0, 5); c.lineTo(-5, 0); c.closePath(); }],
  decide: ['fill', (c) => { c.rect(-4, -4, 8, 8); }],
  cut: ['stroke', (c) => { c.moveTo(-5, -6); c.lineTo(5, 6); c.moveTo(-5, 0); c.lineTo(5, 0); }],
  warn: ['stroke', (c) => { c.moveTo(0, -6); c.lineTo(0, 2); c.moveTo(0, 4); c.lineTo(0, 6); }],
  dot: ['fill', (c) => { c.arc(0, 0, 2.6, 0, 7); }],
};
Q.shape = function (ctx, name, x, y, colour) {
  const [how, path] = SHAPES[name];
  ctx.save();
  ctx.translate(x, y);
  ctx.beginPath();
  path(ctx);
  ctx.fillStyle = ctx.strokeStyle = colour;
  ctx.lineWidth = name === 'stop' || name === 'cut' || name === 'warn' ? 2.4 : 1.6;
  if (how === 'fill') ctx.fill(); else ctx.stroke();
  ctx.restore();
};
const IMPORTANT = new Set(['start', 'recovered', 'stop', 'star', 'cut', 'warn']);

Q.drawGlyphs = function (f, row) {
  const { ctx, C } = f, list = row.lane.glyphs, y = f.y(row.life);
  let i = Q.lower(list, f.t0, (g) => g.t);
  if (!f.part || row.many === undefined) row.many = Q.lower(list, f.t1, (g) => g.t) - i > 800;
  for (; i < list.length && list[i].t <= f.t1; i++) {
    const g = list[i];
    if (row.many && !IMPORTANT.has(g.shape)) continue;
    const x = f.x(g.t), strong = f.strong(g.e);
    ctx.globalAlpha = strong ? 1 : 0.2;
    Q.shape(ctx, g.shape, x, y, g.shape === 'stop' || g.shape === 'warn' || g.shape === 'cut' ? C.fault : C.text);
    ctx.globalAlpha = 1;
    f.hits.push({ kind: 'box', x: x - 6, y: y - 7, w: 12, h: 14, e: g.e });
    if (f.light || !strong || !g.label || (!f.big && !IMPORTANT.has(g.shape))) continue;
    const text = g.label.length > 60 ? g.label.slice(0, 59) + '…' : g.label, width = text.length * Q.CHAR_SMALL + 4;
    const up = f.big ? y - 13 : y - 8;
    for (const [lx, ly] of [[x - 3, up], [x + 8, y + (f.big ? 13 : 0)], [x - width - 6, up]]) {
      if (lx < f.left - width || !Q.room(f, lx, ly, width)) continue;
      ctx.font = Q.SMALL;
      ctx.textBaseline = 'middle';
      ctx.fillStyle = C.halo;
      ctx.fillRect(lx, ly - 6, width, 12);
      ctx.fillStyle = C.text;
      ctx.fillText(text, lx + 2, ly);
      break;
    }
  }
};

const LINKS = new Set(['partition', 'one-way', 'clog', 'port-block', 'slow-link', 'newest-first', 'bounded', 'corrupt', 'lose', 'duplicate', 'replay', 'cut', 'half-open']);
Q.isLinkFault = (f) => LINKS.has(f.kind);

// Strips along the lanes for as long as a fault holds; a bracket over the lanes that a fault of links separates.
Q.drawFaultExtents = function (f, rows) {
  const { ctx, C } = f;
  for (const row of rows) {
    let k = 0;
    for (const fault of row.lane.faults) {
      if (fault.t1 < f.t0 || fault.t0 > f.t1 || fault.t1 <= fault.t0) continue;
      const a = Math.max(f.x(fault.t0), f.left), b = Math.min(f.x(fault.t1), f.right);
      // One that is everywhere is told in the lane of faults.
      if (fault.from.length + fault.to.length >= f.m.lanes.length && fault.from.length > 2 && fault.to.length > 2 && fault.kind !== 'partition') continue;
      const link = Q.isLinkFault(fault), h = f.big ? 5 : 3;
      const at = (link ? f.y(row.y + row.h) + 1 : f.y(row.y) - h - 1) + (k++ % 3) * (link ? h + 1 : -h - 1);
      ctx.globalAlpha = !f.v.fault || f.v.fault === fault ? 1 : 0.25;
      ctx.fillStyle = f.v.hatches[link ? (fault.to.includes(row.lane.i) && !fault.from.includes(row.lane.i) ? 'linkB' : 'linkA') : 'fault'];
      ctx.fillRect(a, at, b - a, h);
      ctx.globalAlpha = 1;
      f.hits.push({ kind: 'box', x: a, y: at - 1, w: b - a, h: h + 2, fault, e: fault.e });
    }
  }
  for (const fault of f.m.faults) {
    if (fault.t0 < f.t0 - 1 || fault.t0 > f.t1 || !Q.isLinkFault(fault) || (fault.raw.from === '*' && fault.raw.to === '*')) continue;
    bracket(f, fault, f.x(fault.t0));
    if (fault.t1 > fault.t0 && fault.t1 <= f.t1) bracket(f, fault, f.x(fault.t1), true);
  }
};

function bracket(f, fault, x, end) {
  const { ctx, C } = f, rows = f.v.lanes.rows;
  const lanes = [...new Set([...fault.from, ...fault.to])].filter((i) => f.m.lanes[i].kind === 'server' || fault.from.length + fault.to.length < 8);
  if (!lanes.length) return;
  const ys = lanes.map((i) => [f.y(rows[i].y), f.y(rows[i].y + rows[i].h)]);
  const top = Math.min(...ys.map((p) => p[0])), bottom = Math.max(...ys.map((p) => p[1]));
  ctx.globalAlpha = !f.v.fault || f.v.fault === fault ? 0.95 : 0.25;
  ctx.strokeStyle = C.fault;
  ctx.lineWidth = 1.6;
  const s = end ? -1 : 1;
  ctx.beginPath();
  ctx.moveTo(x + 7 * s, top); ctx.lineTo(x, top); ctx.lineTo(x, bottom); ctx.lineTo(x + 7 * s, bottom);
  ctx.stroke();
  // The two sides: a bar to the right of the bracket for one, a hollow one for the other.
  for (const i of lanes) {
    const [a, b] = [f.y(rows[i].y), f.y(rows[i].y + rows[i].h)], one = fault.from.includes(i);
    ctx.fillStyle = C.fault;
    if (one) ctx.fillRect(x - 3, a + 2, 6, b - a - 4);
    else { ctx.fillStyle = C.bg; ctx.fillRect(x - 3, a + 2, 6, b - a - 4); ctx.lineWidth = 1.2; ctx.strokeRect(x - 3, a + 2, 6, b - a - 4); }
  }
  ctx.globalAlpha = 1;
  f.hits.push({ kind: 'line', x0: x, y0: top, x1: x, y1: bottom, fault, e: fault.e });
  if (end || f.mute) return;
  const names = (list) => list.map((i) => f.m.lanes[i].name).join(' ');
  const text = '#' + fault.id + ' ' + fault.kind + ': ' + names(fault.from) + (fault.kind === 'partition' ? ' | ' : ' → ') + names(fault.to);
  const width = text.length * Q.CHAR_SMALL + 6, at = Math.max(top + 8, f.top + 8);
  if (text.length > 70 || at > bottom || !Q.room(f, x + 8, at, width)) return;
  ctx.font = Q.SMALL;
  ctx.textBaseline = 'middle';
  ctx.fillStyle = C.fault;
  ctx.fillRect(x + 7, at - 7, width, 14);
  ctx.fillStyle = C.bg;
  ctx.fillText(text, x + 10, at + 0.5);
}

// Outside the cone everything is behind a veil.
Q.drawVeil = function (f, rows) {
  const cone = f.v.cone;
  if (!cone) return;
  f.ctx.fillStyle = f.C.veil;
  for (const row of rows) {
    const past = cone.past[row.lane.i], future = cone.future[row.lane.i], y = f.y(row.y), h = row.h;
    const a = past >= 0 ? f.x(f.m.t[past]) + 3 : f.left, b = f.v.ahead && future < Infinity ? f.x(f.m.t[future]) - 3 : f.right;
    if (b > a) f.ctx.fillRect(Math.max(a, f.left), y, Math.min(b, f.right) - Math.max(a, f.left), h);
  }
  const e = cone.e, row = f.v.lanes.rows[f.m.lane[e]];
  if (!row) return;
  f.ctx.strokeStyle = f.C.select;
  f.ctx.lineWidth = 2;
  f.ctx.beginPath();
  f.ctx.arc(f.x(f.m.t[e]), f.y(row.life), 11, 0, 7);
  f.ctx.stroke();
};

const place = (f, e) => {
  const i = f.m.lane[e], row = i >= 0 ? f.v.lanes.rows[i] : null;
  return { x: f.x(f.m.t[e]), y: row ? f.y(row.life) : f.top + 14 };
};

Q.drawViolation = function (f) {
  const v = f.m.violation, { ctx, C } = f;
  if (!v) return;
  const first = v.first !== null ? place(f, v.first) : { x: f.x(v.at), y: f.top + 14 };
  ctx.strokeStyle = C.red;
  ctx.lineWidth = 1.5;
  ctx.setLineDash([6, 3]);
  ctx.beginPath();
  ctx.moveTo(first.x, f.top); ctx.lineTo(first.x, f.bottom);
  ctx.stroke();
  ctx.setLineDash([]);
  if (v.second !== null) {
    const second = place(f, v.second), lift = Math.min(60, 12 + Math.abs(second.x - first.x) / 6);
    ctx.lineWidth = 2;
    ctx.beginPath();
    ctx.moveTo(second.x, second.y);
    ctx.bezierCurveTo(second.x + (first.x - second.x) / 3, second.y - lift, first.x - (first.x - second.x) / 3, first.y - lift, first.x, first.y);
    ctx.stroke();
    ring(f, second, '2');
    if (!f.mute) flagText(f, second.x, second.y, v.known, false);
  }
  ring(f, first, '1');
  if (!f.mute) flagText(f, first.x, first.y, v.invariant + ': ' + v.happened, true);
  if (v.first !== null) f.hits.push({ kind: 'box', x: first.x - 10, y: first.y - 10, w: 20, h: 20, e: v.first });
  if (v.second !== null) { const p = place(f, v.second); f.hits.push({ kind: 'box', x: p.x - 10, y: p.y - 10, w: 20, h: 20, e: v.second }); }
};
function ring(f, p, text) {
  const { ctx, C } = f;
  ctx.fillStyle = C.red;
  ctx.beginPath();
  ctx.arc(p.x, p.y, 9, 0, 7);
  ctx.fill();
  ctx.fillStyle = '#fff';
  ctx.font = 'bold ' + Q.FONT;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  ctx.fillText(text, p.x, p.y + 0.5);
  ctx.textAlign = 'left';
}
function flagText(f, x, y, text, first) {
  const { ctx, C } = f;
  ctx.font = Q.FONT;
  ctx.textBaseline = 'middle';
  if (text.length > 76) text = text.slice(0, 75) + '…';
  const width = text.length * Q.CHAR + 12, right = x + width + 16 < f.wide && !(first && x > (f.left + f.wide) / 2);
  const lx = right ? x + 14 : x - 14 - width, ly = first ? y - 20 : y + 20;
  ctx.fillStyle = C.red;
  ctx.fillRect(lx, ly - 9, width, 18);
  ctx.fillStyle = '#fff';
  ctx.fillText(text, lx + 6, ly + 0.5);
}

Q.drawCursor = function (f) {
  const { ctx, C, v } = f;
  if (v.cursor < 0) return;
  const x = f.x(f.m.t[v.cursor]);
  ctx.strokeStyle = C.select;
  ctx.lineWidth = 1;
  ctx.beginPath();
  ctx.moveTo(x + 0.5, f.top); ctx.lineTo(x + 0.5, f.bottom);
  ctx.stroke();
  const i = f.m.lane[v.cursor], row = i >= 0 ? v.lanes.rows[i] : null, msg = f.m.messageOf.get(v.cursor);
  if (msg) {
    const a = place(f, msg.e0), b = msg.e1 >= 0 && !msg.lost ? { x: f.x(msg.t1), y: f.y(v.lanes.rows[msg.to].life) } : a;
    ctx.lineWidth = 4;
    ctx.globalAlpha = 0.35;
    ctx.beginPath(); ctx.moveTo(a.x, a.y); ctx.lineTo(b.x, b.y); ctx.stroke();
    ctx.globalAlpha = 1;
  }
  if (!row) return;
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.arc(x, f.y(row.life), 8, 0, 7);
  ctx.stroke();
};

// The lane of all faults, which does not scroll away.
Q.drawFaultLane = function (f) {
  const { ctx, C, v } = f, y0 = Q.AXIS, h = v.top - Q.AXIS, right = f.wide;
  if (h <= 0) return;
  ctx.fillStyle = C.gutter;
  ctx.fillRect(0, y0, right, h);
  ctx.save();
  ctx.beginPath();
  ctx.rect(f.left, y0, right - f.left, h);
  ctx.clip();
  ctx.font = Q.SMALL;
  ctx.textBaseline = 'middle';
  const ends = [];
  for (const fault of f.m.faults) {
    if (fault.t1 < f.t0 || fault.t0 > f.t1) continue;
    const real = f.x(fault.t0), a = Math.max(real, f.left), b = Math.max(Math.min(f.x(fault.t1), right), a + 4), y = y0 + 3 + fault.row * 14;
    const chosen = v.fault === fault, healed = fault.id === 0;
    ctx.globalAlpha = healed || fault.took ? 1 : 0.55;
    ctx.fillStyle = healed ? C.classes[1] : C.fault;
    ctx.fillRect(a, y, 3, 12);
    ctx.globalAlpha *= 0.28;
    ctx.fillRect(a, y, b - a, 12);
    ctx.globalAlpha = 1;
    if (chosen) { ctx.strokeStyle = C.select; ctx.lineWidth = 1.5; ctx.strokeRect(a, y, b - a, 12); }
    const text = fault.text.replace(/^fault (\d+) /, '#$1 ');
    if (a + 5 > (ends[fault.row] || 0)) {
      ctx.fillStyle = C.text;
      ctx.fillText(text, a + 6, y + 6.5);
      ends[fault.row] = a + 10 + text.length * Q.CHAR_SMALL;
    }
    f.hits.push({ kind: 'box', x: a, y, w: Math.max(b - a, 8), h: 12, fault: healed ? null : fault, e: fault.e, strong: true });
  }
  ctx.restore();
};

Q.drawAxis = function (f) {
  const { ctx, C, v } = f;
  ctx.fillStyle = C.gutter;
  ctx.fillRect(0, 0, f.wide, Q.AXIS);
  ctx.strokeStyle = C.line;
  ctx.lineWidth = 1;
  ctx.beginPath();
  ctx.moveTo(0, Q.AXIS - 0.5); ctx.lineTo(f.wide, Q.AXIS - 0.5);
  ctx.moveTo(0, v.top - 0.5); ctx.lineTo(f.wide, v.top - 0.5);
  ctx.stroke();
  ctx.save();
  ctx.beginPath();
  ctx.rect(f.left, 0, f.wide - f.left, Q.AXIS);
  ctx.clip();
  ctx.font = Q.FONT;
  ctx.textBaseline = 'middle';
  // A round step that leaves room for its text.
  const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 60000];
  const step = (steps.find((s) => s * v.zoom >= 90) || 60000) * 1000;
  const text = (t) => step >= 1e6 ? (t / 1e6).toFixed(0) + ' s' : (t / 1000).toFixed(step >= 1000 ? 0 : step >= 100 ? 1 : 2) + ' ms';
  let free = -1;
  // Within the stretches between folds.
  const folds = v.line.folds, first = Q.lower(folds, v.sx - Q.FOLDED, (g) => g.x);
  let from = first > 0 ? folds[first - 1].t1 : f.m.start;
  for (let i = first; ; i++) {
    const to = i < folds.length ? folds[i].t0 : f.m.end;
    for (let t = Math.max(Math.ceil(from / step), Math.ceil(f.t0 / step)) * step, k = 0; t <= Math.min(to, f.t1) && k < 400; t += step, k++) {
      const x = f.x(t), words = text(t);
      ctx.fillStyle = C.faint;
      ctx.fillRect(x, Q.AXIS - 6, 1, 6);
      const wall = i < folds.length ? f.left + folds[i].x - v.sx : f.wide, end = x + 6 + words.length * Q.CHAR;
      if (x > free && end < wall - 4) { ctx.fillStyle = C.dim; ctx.fillText(words, x + 3, 12); free = end + 8; }
    }
    if (i >= folds.length || folds[i].x > v.sx + f.wide) break;
    const a = f.left + folds[i].x - v.sx, words = Q.span(folds[i].t1 - folds[i].t0), half = Math.max(Q.FOLDED / 2, words.length * Q.CHAR_SMALL / 2 + 2);
    ctx.font = Q.SMALL;
    ctx.fillStyle = C.gutter;
    ctx.fillRect(a + Q.FOLDED / 2 - half, 0, 2 * half, Q.AXIS - 1);
    ctx.fillStyle = C.dim;
    ctx.textAlign = 'center';
    ctx.fillText(words, a + Q.FOLDED / 2, 12);
    ctx.textAlign = 'left';
    ctx.font = Q.FONT;
    free = Math.max(free, a + Q.FOLDED / 2 + half + 2);
    from = folds[i].t1;
  }
  ctx.restore();
};

// Names, and how each stands at the cursor.
Q.drawGutter = function (f, rows) {
  const { ctx, C, v, m } = f;
  ctx.fillStyle = C.gutter;
  ctx.fillRect(0, f.top, f.left, f.bottom - f.top);
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, f.top, f.left, f.bottom - f.top);
  ctx.clip();
  ctx.textBaseline = 'middle';
  const at = Q.now(v);
  for (const row of rows) {
    const y = f.y(row.y);
    if (y > f.bottom || y + row.h < f.top) continue;
    const lane = row.lane;
    ctx.fillStyle = C.text;
    ctx.font = 'bold 13px system-ui, "DejaVu Sans", sans-serif';
    const middle = f.big ? y + 10 : y + row.h / 2;
    ctx.fillText(lane.name, 10, middle);
    ctx.font = Q.SMALL;
    ctx.fillStyle = C.dim;
    if (lane.kind === 'client') {
      const s = Q.last(lane.session, at, (z) => z.e);
      const words = !s ? '' : s.state === 'on' ? 'on s' + (s.node + 1) : s.state === 'off' ? 'no connection' : 'expired';
      ctx.fillText(words, 44, middle);
    } else if (lane.kind === 'server') {
      const s = Q.standing(m, lane, at);
      if (f.big) {
        ctx.fillText(lane.voter ? '' : 'observer', 44, middle);
        ctx.fillText(s.role, 10, y + 28);
        ctx.fillText('acc ' + s.acc + '  cur ' + s.cur, 10, y + 41);
        ['logged', 'durable', 'committed', 'applied'].forEach((name, k) => {
          const ty = f.y(row.tracks) + k * row.track + row.track / 2;
          ctx.textAlign = 'right';
          ctx.fillText(name, f.left - 52, ty);
          ctx.fillStyle = C.text;
          ctx.fillText(Q.zxid(s.marks[k]), f.left - 6, ty);
          ctx.fillStyle = C.dim;
          ctx.textAlign = 'left';
        });
        ctx.textAlign = 'right';
        ctx.fillText('disk', f.left - 52, f.y(row.disk) + 6);
        ctx.textAlign = 'left';
      } else {
        ctx.fillText(s.role, 46, middle - 5);
        ctx.fillText(s.acc + '/' + s.cur + '  ' + Q.zxid(s.marks[0]), 46, middle + 6);
      }
    }
  }
  ctx.restore();
  Q.drawCorner(f);
};
Q.drawCorner = function (f) {
  const { ctx, C, v, m } = f;
  ctx.fillStyle = C.gutter;
  ctx.fillRect(0, 0, f.left, f.top);
  ctx.fillStyle = C.dim;
  ctx.font = Q.SMALL;
  ctx.textBaseline = 'middle';
  ctx.fillText(m.about.tick_ms ? 'virtual time' : 'time', 10, 13);
  if (v.top > Q.AXIS) ctx.fillText('faults', 10, Q.AXIS + 10);
  ctx.fillStyle = C.line;
  ctx.fillRect(f.left - 1, 0, 1, f.bottom);
  ctx.fillRect(0, Q.AXIS - 1, f.left, 1);
  ctx.fillRect(0, f.top - 1, f.left, 1);
};
