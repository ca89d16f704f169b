// The canvas: lanes, intervals, messages. Only what is in view is drawn.
Q.FONT = '11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';
Q.SMALL = '9px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';
Q.UI = '12px system-ui, "DejaVu Sans", sans-serif';
Q.CHAR = 6.63;
Q.CHAR_SMALL = 5.42;
// So many arrows in view are still arrows to the eye; of more only the slow and the lost ones are drawn.
Q.ARROWS = 5000;
// While the view moves and frames are slow, so many arrows stand for all.
Q.LIGHT = 250;

Q.colours = function () {
  const css = getComputedStyle(document.documentElement);
  const get = (name) => css.getPropertyValue('--' + name).trim();
  const out = { classes: Q.CLASSES.map((c) => get('c-' + c)), roles: {}, epochs: [0, 1, 2, 3, 4, 5].map((i) => [get('e' + i), get('e' + i + 'b')]) };
  for (const r of ['down', 'paused', 'recovering', 'looking', 'following', 'observing', 'leading-wait', 'leading', 'read-only']) out.roles[r] = get('r-' + r);
  out.roles['leading?'] = out.roles['leading-wait'];
  out.roles.standalone = out.roles.leading;
  for (const name of ['bg', 'lane', 'line', 'text', 'dim', 'faint', 'red', 'veil', 'gutter', 'select', 'fault', 'ok', 'bad', 'halo', 'grey']) out[name] = get(name);
  return out;
};

Q.hatch = function (ctx, colour, flip, step) {
  const size = step || 6, tile = document.createElement('canvas');
  tile.width = tile.height = size;
  const c = tile.getContext('2d');
  c.strokeStyle = colour;
  c.lineWidth = 1.2;
  c.beginPath();
  for (const off of [-size, 0, size]) {
    c.moveTo(off, flip ? 0 : size);
    c.lineTo(off + size, flip ? size : 0);
  }
  c.stroke();
  return ctx.createPattern(tile, 'repeat');
};

// One frame. `v`: view state (see main.js); returns what can be pointed at.
Q.draw = function (v) {
  const f = frameOf(v, Q.LEFT, v.w, 4);
  f.mute = v.mute;
  f.light = v.light || v.mute;
  v.ctx.setTransform(v.dpr, 0, 0, v.dpr, 0, 0);
  content(f, { x: Q.LEFT, y: v.top, w: v.w - Q.LEFT, h: v.h - v.top });
  Q.drawFaultLane(f);
  Q.drawAxis(f);
  Q.drawGutter(f, v.lanes.rows);
  return f.hits;
};

// The view has moved by so many pixels (of the screen) since the last frame: what is still in view is moved, only what has come into
// view is drawn, without words, which could begin outside of it. The next whole frame adds them.
Q.move = function (v, dx, dy) {
  const { ctx, dpr } = v, { width, height } = ctx.canvas, dirty = [];
  // In whole pixels of the screen: an edge within one would mix what is beside it into the picture.
  const left = Math.ceil(Q.LEFT * dpr), top = Math.ceil(v.top * dpr), wide = width - left, high = height - top;
  const nx = Math.abs(dx), ny = Math.abs(dy);
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.drawImage(ctx.canvas, left + Math.max(dx, 0), top + Math.max(dy, 0), wide - nx, high - ny, left + Math.max(-dx, 0), top + Math.max(-dy, 0), wide - nx, high - ny);
  if (dx) dirty.push({ x: dx > 0 ? width - nx : left, y: top, w: nx, h: high });
  if (dy) dirty.push({ x: left, y: dy > 0 ? height - ny : top, w: wide, h: ny });
  ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
  for (const d of dirty) {
    const area = { x: d.x / dpr, y: d.y / dpr, w: d.w / dpr, h: d.h / dpr };
    // Wide enough for what stands beside it and reaches into it.
    const f = frameOf(v, area.x, area.x + area.w, 24);
    f.light = f.mute = f.part = true;
    content(f, area);
  }
  v.parts = (v.parts || 0) + 1;
  const f = frameOf(v, Q.LEFT, v.w, 4);
  if (dx) {
    Q.drawFaultLane(f);
    Q.drawAxis(f);
    Q.drawCorner(f);
  }
  // What the names of lanes say of the middle of the view waits for the next whole frame.
  if (dy) Q.drawGutter(f, v.lanes.rows);
};

// What is drawn into, and from when to when.
function frameOf(v, from, to, pad) {
  const { ctx, m, line, lanes, w, h, sx, sy, colours: C } = v;
  const left = Q.LEFT, top = v.top;
  const x = (t) => left + line.x(t) - sx, y = (py) => top + py - sy;
  const t0 = line.t(Math.max(0, sx + from - left - pad)), t1 = line.t(sx + to - left + pad);
  const f = { ctx, v, m, C, x, y, t0, t1, left, top, right: Math.min(w, Math.max(left, Math.ceil(x(m.end)) + 14)), wide: w, bottom: h, hits: [], labels: new Map(), big: lanes.big };
  f.seen = (e) => !v.cone || e < 0 || m.lane[e] < 0 || e <= v.cone.past[m.lane[e]] || (v.ahead && e >= v.cone.future[m.lane[e]]);
  f.strong = (e) => f.seen(e) && (!v.zxid || Q.speaksOf(m, e, v.zxid));
  return f;
}

// Everything within this area of the canvas.
function content(f, area) {
  const { ctx } = f;
  ctx.save();
  ctx.beginPath();
  ctx.rect(area.x, area.y, area.w, area.h);
  ctx.clip();
  ctx.fillStyle = f.C.bg;
  ctx.fillRect(area.x, area.y, area.w, area.h);
  const rows = f.v.lanes.rows.filter((r) => f.y(r.y) < area.y + area.h + 30 && f.y(r.y + r.h) > area.y - 30);
  for (const row of rows) ground(f, row);
  drawFolds(f);
  drawMissing(f);
  for (const row of rows) {
    if (row.lane.kind === 'client') drawClient(f, row);
    else if (row.lane.kind === 'server') drawServer(f, row);
  }
  Q.drawVeil(f, rows);
  drawMessages(f);
  Q.drawFaultExtents(f, rows);
  for (const row of rows) Q.drawGlyphs(f, row);
  Q.drawViolation(f);
  Q.drawCursor(f);
  ctx.restore();
}

Q.speaksOf = function (m, e, z) {
  const n = m.numbers[e], name = m.kindName(e);
  if (['proposed', 'logged', 'durable', 'acked', 'decided', 'applied', 'truncated', 'replaced', 'snapshot'].includes(name)) return n[4] === z;
  if (name === 'replied') return n[5] === z;
  const msg = m.messageOf.get(e);
  return !!(msg ? msg.text : m.text(e)).match(new RegExp('(^|[^0-9.])' + Q.zxid(z).replace('.', '\\.') + '($|[^0-9])'));
};

// The event at which the state is told: the cursor, or what is in the middle of the view.
Q.now = function (v) {
  if (v.cursor >= 0) return v.cursor;
  const t = v.line.t(v.sx + (v.w - Q.LEFT) / 2);
  let lo = 0, hi = v.m.n;
  while (lo < hi) { const mid = (lo + hi) >> 1; if (v.m.t[mid] <= t) lo = mid + 1; else hi = mid; }
  return Math.max(0, lo - 1);
};

// Items of a list ordered by `t` that are in view, with the one that reaches into it.
function* steps(list, f, end) {
  let i = Math.max(0, Q.lower(list, f.t0, (s) => s.t) - 1);
  for (; i < list.length && list[i].t <= f.t1; i++) yield [list[i], i + 1 < list.length ? list[i + 1].t : end];
}

function ground(f, row) {
  const { ctx, C, m } = f, lane = row.lane, y0 = f.y(row.y);
  ctx.fillStyle = C.lane;
  ctx.fillRect(f.left, y0, f.right - f.left, row.h);
  if (lane.kind === 'client') return;
  if (lane.kind === 'outside') return lifeLine(f, row);
  const body = row.tracks - row.y;
  for (const [s, end] of steps(lane.roles, f, m.end)) role(f, row, s.role, s.t, end, y0, body);
  if (lane.roles.length && lane.roles[0].t > f.t0) role(f, row, 'down', 0, lane.roles[0].t, y0, body);
  for (const p of lane.paused || []) if (p.t1 >= f.t0 && p.t0 <= f.t1) role(f, row, 'paused', p.t0, p.t1, y0, body);
  lifeLine(f, row);
}

function drawServer(f, row) {
  band(f, row, f.y(row.y));
  tracks(f, row);
  disk(f, row);
}

function lifeLine(f, row) {
  f.ctx.strokeStyle = f.C.line;
  f.ctx.lineWidth = 1;
  f.ctx.beginPath();
  f.ctx.moveTo(f.left, f.y(row.life) + 0.5);
  f.ctx.lineTo(f.right, f.y(row.life) + 0.5);
  f.ctx.stroke();
}

function role(f, row, name, t0, t1, y0, h) {
  const { ctx, C } = f;
  const a = Math.max(f.left, f.x(t0)), b = Math.min(f.right, f.x(t1));
  if (b <= a) return;
  ctx.fillStyle = C.roles[name] || C.lane;
  ctx.fillRect(a, y0, b - a, h);
  if (name === 'down' || name === 'leading?' || name === 'paused') {
    ctx.fillStyle = f.v.hatches[name];
    ctx.fillRect(a, y0, b - a, h);
  }
}

// Role and epochs in words at the left end of each stretch, also where it began long ago.
function band(f, row, y0) {
  const { ctx, C, m } = f, lane = row.lane;
  const edges = [...lane.roles.map((r) => r.e), ...lane.epochs.map((r) => r.e)].sort((a, b) => a - b);
  ctx.font = f.big ? Q.FONT : Q.SMALL;
  ctx.textBaseline = 'middle';
  const char = f.big ? Q.CHAR : Q.CHAR_SMALL;
  let i = Math.max(0, Q.lower(edges, f.t0, (e) => m.t[e]) - 1);
  for (; i < edges.length && m.t[edges[i]] <= f.t1; i++) {
    const from = Math.max(f.x(m.t[edges[i]]), f.left), to = i + 1 < edges.length ? f.x(m.t[edges[i + 1]]) : f.right;
    const s = Q.standing(m, lane, edges[i]);
    if (from > f.left) {
      ctx.fillStyle = C.dim;
      ctx.fillRect(from, y0, 1, row.band);
    }
    const words = { 'leading?': 'leading (no quorum yet)' }[s.role] || s.role;
    let text = words + (s.acc || s.cur ? ' · acc ' + s.acc + ' cur ' + s.cur : '');
    const room = Math.floor((to - from - 8) / char);
    if (text.length > room) text = room >= words.length ? words : room >= 4 ? text.slice(0, room - 1) + '…' : '';
    if (!text || f.mute) continue;
    ctx.fillStyle = C.text;
    ctx.fillText(text, from + 4, y0 + row.band / 2 + 1);
    Q.room(f, from + 4, y0 + row.band / 2, text.length * char);
  }
}

const epochColours = (C, z) => C.epochs[((Q.epochOf(z) - 1) % C.epochs.length + C.epochs.length) % C.epochs.length];

// Four tracks: logged, durable, committed, applied. A cell is the time for which a zxid was the newest.
function tracks(f, row) {
  const { ctx, C } = f;
  ctx.font = Q.SMALL;
  ctx.textBaseline = 'middle';
  row.lane.marks.forEach((list, k) => {
    const y = f.y(row.tracks) + k * row.track;
    let drawn = -1;
    for (const [mark, end] of steps(list, f, Infinity)) {
      const a = Math.max(f.left, f.x(mark.t)), b = end === Infinity ? Math.min(f.right, f.x(f.m.end)) : Math.min(f.right, f.x(end));
      if (mark.z <= 0 || b < a) continue;
      // Of many in one pixel one is enough.
      if (b - a < 0.5 && Math.floor(a) === drawn) continue;
      drawn = Math.floor(a);
      const bright = !f.v.zxid || f.v.zxid === mark.z;
      ctx.globalAlpha = bright ? 1 : 0.15;
      ctx.fillStyle = epochColours(C, mark.z)[mark.z % 2];
      ctx.fillRect(a, y, Math.max(b - a, 0.6), row.track - 1);
      ctx.globalAlpha = 1;
      const text = Q.zxid(mark.z);
      if (f.big && !f.mute && b - a > text.length * Q.CHAR_SMALL + 6 && bright) {
        ctx.fillStyle = '#101418';
        ctx.fillText(text, a + 3, y + row.track / 2);
      }
    }
  });
}

function disk(f, row) {
  const { ctx, C } = f, y = f.y(row.disk), h = row.diskH, list = row.lane.disk;
  let drawn = -1;
  let i = Math.max(0, Q.lower(list, f.t0, (d) => d.t1));
  for (; i < list.length; i++) {
    const d = list[i];
    if (d.t0 > f.t1) { if (d.t1 - d.t0 < 2e6 && d.t1 > f.t1 + 5e6) break; continue; }
    const a = f.x(d.t0), b = Math.max(f.x(d.t1), a + 3);
    if (b <= drawn && !d.failed && !d.cut && d.what !== 9) continue;
    drawn = Math.ceil(b) + 0.5;
    ctx.globalAlpha = f.strong(d.e) ? 1 : 0.18;
    const colour = f.seen(d.e) ? C.text : C.grey;
    ctx.fillStyle = ctx.strokeStyle = d.failed ? C.red : colour;
    ctx.lineWidth = 1;
    if (d.what === 9) torn(ctx, a - 6, y, h, C.red);
    else if (d.cut) { ctx.setLineDash([2, 2]); ctx.strokeRect(a + 0.5, y + 1.5, Math.max(b - a - 1, 4), h - 4); ctx.setLineDash([]); }
    else if (d.what === 1) ctx.fillRect(a, y + 1, b - a, h - 3);
    else if (d.what === 0) ctx.strokeRect(a + 0.5, y + 1.5, b - a - 1, h - 4);
    else { ctx.globalAlpha *= 0.45; ctx.fillRect(a, y + h / 2 - 1, b - a, d.what === 3 ? 1 : 2); }
    if (d.failed) cross(ctx, b, y + h / 2 - 1, 4, C.red, 1.6);
    ctx.globalAlpha = 1;
    f.hits.push({ kind: 'box', x: a - 1, y, w: b - a + 2, h, e: d.e });
  }
}

function torn(ctx, x, y, h, colour) {
  ctx.fillStyle = colour;
  const s = h / 3;
  for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) if ((i + j) % 2 === 0) ctx.fillRect(x + i * s, y + j * s, s, s);
}
function cross(ctx, x, y, r, colour, width) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.beginPath();
  ctx.moveTo(x - r, y - r); ctx.lineTo(x + r, y + r);
  ctx.moveTo(x - r, y + r); ctx.lineTo(x + r, y - r);
  ctx.stroke();
}
Q.cross = cross;

function drawClient(f, row) {
  const { ctx, C } = f, lane = row.lane, y0 = f.y(row.y), rowH = f.big ? 15 : 7, base = y0 + row.h - 1;
  session(f, lane, base, f.big ? 11 : 7);
  ctx.font = Q.SMALL;
  ctx.textBaseline = 'middle';
  let i = Math.max(0, Q.lower(lane.ops, f.t0, (o) => o.t0) - 12);
  for (; i < lane.ops.length && lane.ops[i].t0 <= f.t1; i++) {
    const op = lane.ops[i];
    if (op.t1 < f.t0) continue;
    const a = Math.max(f.x(op.t0), f.left - 4), b = Math.max(Math.min(f.x(op.t1), f.right + 4), a + 3), y = y0 + 2 + op.row * rowH, h = rowH - 2;
    ctx.globalAlpha = f.strong(op.e1 >= 0 ? op.e1 : op.e0) || f.strong(op.e0) ? 1 : 0.18;
    ctx.fillStyle = op.cut ? f.v.hatches.cut : op.ok ? C.ok : C.bad;
    ctx.fillRect(a, y, b - a, h);
    ctx.strokeStyle = op.cut ? C.dim : C.text;
    ctx.lineWidth = 0.8;
    ctx.setLineDash(op.cut ? [3, 2] : []);
    ctx.strokeRect(a + 0.5, y + 0.5, b - a - 1, h - 1);
    ctx.setLineDash([]);
    if (f.big && !f.mute) {
      const full = op.text + ' → ' + op.result + (op.zxid > 0 ? ' @' + Q.zxid(op.zxid) : '');
      const room = Math.floor((Math.min(op.room < Infinity ? f.x(op.room) : f.wide, f.wide) - a - 6) / Q.CHAR_SMALL);
      const text = full.length <= room ? full : room > 6 ? full.slice(0, room - 1) + '…' : '';
      ctx.fillStyle = C.text;
      if (text && Q.room(f, a, y + h / 2, text.length * Q.CHAR_SMALL + 4)) ctx.fillText(text, a + 3, y + h / 2 + 0.5);
    }
    ctx.globalAlpha = 1;
    f.hits.push({ kind: 'box', x: a, y, w: b - a, h, e: op.e0, other: op.e1, op });
  }
  for (const wt of lane.watches) {
    if (wt.t < f.t0 || wt.t > f.t1) continue;
    const x = f.x(wt.t);
    ctx.globalAlpha = f.strong(wt.e) ? 1 : 0.18;
    flag(ctx, x, y0 + 1, Math.min(row.h - 8, 22), C.classes[3]);
    ctx.globalAlpha = 1;
    f.hits.push({ kind: 'box', x: x - 3, y: y0, w: 12, h: 14, e: wt.e });
  }
}

function flag(ctx, x, y, h, colour) {
  ctx.fillStyle = ctx.strokeStyle = colour;
  ctx.lineWidth = 1.4;
  ctx.beginPath();
  ctx.moveTo(x, y); ctx.lineTo(x, y + h);
  ctx.stroke();
  ctx.beginPath();
  ctx.moveTo(x, y); ctx.lineTo(x + 8, y + 3.5); ctx.lineTo(x, y + 7);
  ctx.fill();
}

// The session as a line: full after each answer, sinking to its end while nothing is heard.
function session(f, lane, base, h) {
  const { ctx, C, m } = f;
  ctx.lineWidth = 1.3;
  for (const [s, end] of steps(lane.session, f, m.end)) {
    const a = Math.max(f.x(s.t), f.left), b = Math.min(f.x(end), f.right);
    if (s.state === 'gone' || !s.timeout) {
      ctx.strokeStyle = C.red;
      ctx.setLineDash([2, 3]);
      ctx.beginPath(); ctx.moveTo(a, base - 1); ctx.lineTo(b, base - 1); ctx.stroke();
      ctx.setLineDash([]);
      continue;
    }
    const left = (t, touch) => Math.max(0, 1 - (t - touch) / s.timeout);
    ctx.strokeStyle = s.state === 'on' ? C.classes[1] : C.fault;
    ctx.beginPath();
    let k = Math.max(0, Q.lower(s.touches, f.t0, (t) => t) - 1), touch = s.touches[k] || s.t, from = Math.max(s.t, f.t0);
    ctx.moveTo(a, base - 1 - h * left(from, touch));
    for (k++; k < s.touches.length && s.touches[k] <= Math.min(f.t1, end); k++) {
      const x = f.x(s.touches[k]);
      ctx.lineTo(x, base - 1 - h * left(s.touches[k], touch));
      touch = s.touches[k];
      ctx.lineTo(x, base - 1 - h);
    }
    const last = Math.min(end, f.t1);
    ctx.lineTo(b, base - 1 - h * left(last, touch));
    ctx.stroke();
    ctx.globalAlpha = 0.16;
    ctx.lineTo(b, base); ctx.lineTo(a, base);
    ctx.fillStyle = ctx.strokeStyle;
    ctx.fill();
    ctx.globalAlpha = 1;
  }
}

function drawFolds(f) {
  const { ctx, C } = f, folds = f.v.line.folds;
  const from = f.v.sx - 60, to = f.v.sx + f.right;
  ctx.font = Q.SMALL;
  ctx.textAlign = 'center';
  for (let i = Q.lower(folds, from, (g) => g.x); i < folds.length && folds[i].x <= to; i++) {
    const a = f.left + folds[i].x - f.v.sx, w = Q.FOLDED;
    ctx.fillStyle = C.bg;
    ctx.globalAlpha = 0.6;
    ctx.fillRect(a + 3, f.top, w - 6, f.bottom - f.top);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = C.faint;
    ctx.lineWidth = 1;
    for (const x of [a + 5, a + w - 5]) {
      ctx.beginPath();
      for (let y = f.top, k = 0; y < f.bottom; y += 6, k++) ctx.lineTo(x + (k % 2 ? 2.5 : -2.5), y);
      ctx.stroke();
    }
    f.hits.push({ kind: 'box', x: a, y: f.top, w, h: f.bottom - f.top, fold: folds[i], weak: true });
  }
  ctx.textAlign = 'left';
}

// Before this only the important is there.
function drawMissing(f) {
  const since = f.m.raw.whole_since;
  if (!since || since < f.t0) return;
  const x = Math.min(f.x(since), f.right);
  f.ctx.fillStyle = f.v.hatches.missing;
  f.ctx.fillRect(f.left, f.top, x - f.left, f.bottom - f.top);
}

// Messages in view: short ones by their time of departure, long ones one by one.
function visible(f) {
  const { m, v } = f, out = [];
  const rows = v.lanes.rows;
  const inView = (msg) => {
    if (msg.t1 < f.t0 || msg.t0 > f.t1 || (msg.cls === 4 && !v.pings) || v.hidden.has(msg.cls)) return false;
    const a = f.y(rows[msg.from].life), b = f.y(rows[msg.to].life);
    return Math.max(a, b) > f.top && Math.min(a, b) < f.bottom;
  };
  for (let i = Q.lower(m.short, f.t0 - Q.LONG, (x) => x.t0); i < m.short.length && m.short[i].t0 <= f.t1; i++) if (inView(m.short[i])) out.push(m.short[i]);
  if (!f.part) v.crowd = out.length;
  if (v.light && !f.part && out.length > Q.LIGHT) return out.filter((x, i) => x.lost || i % Math.ceil(out.length / Q.LIGHT) === 0);
  const kept = v.crowd > Q.ARROWS ? out.filter((x) => x.lost || x.flags) : out;
  for (const x of m.long) {
    if (x.t0 > f.t1) break;
    if (inView(x)) kept.push(x);
  }
  return kept;
}

function drawMessages(f) {
  const { ctx, C, v, m } = f, rows = v.lanes.rows, list = visible(f);
  // A part looks as the whole did.
  if (!f.part) v.shown = list.length;
  const batches = new Map();
  const labelled = [];
  for (const msg of list) {
    const strong = f.seen(msg.e0) && (msg.e1 < 0 || msg.lost || f.seen(msg.e1)) && (!v.zxid || Q.speaksOf(m, msg.e0, v.zxid));
    const x0 = f.x(msg.t0), y0 = f.y(rows[msg.from].life), arrives = msg.e1 >= 0 && !msg.lost;
    let x1 = f.x(msg.e1 >= 0 ? msg.t1 : m.end), y1 = f.y(rows[msg.to].life);
    if (msg.lost) {
      // It ends on its way.
      y1 = y0 + (y1 - y0) * 0.55;
      x1 = Math.min(x1, x0 + 46);
    }
    const key = (strong ? 'a' : 'b') + msg.cls + (msg.flags & 1 ? 'd' : '');
    if (!batches.has(key)) batches.set(key, { strong, cls: msg.cls, dashed: !!(msg.flags & 1), list: [] });
    batches.get(key).list.push([x0, y0, x1, y1, arrives, msg]);
    f.hits.push({ kind: 'line', x0, y0, x1, y1, e: msg.e0, other: msg.e1, msg });
    if (strong) labelled.push([x0, y0, x1, y1, msg]);
  }
  for (const b of [...batches.values()].sort((a, c) => a.strong - c.strong)) {
    ctx.strokeStyle = ctx.fillStyle = b.strong ? C.classes[b.cls] : C.grey;
    ctx.globalAlpha = b.strong ? (v.shown > 1500 ? 0.6 : 0.9) : 0.22;
    ctx.lineWidth = b.cls === 4 ? 0.7 : 1.2;
    ctx.setLineDash(b.dashed ? [5, 3] : []);
    // One path for a few at a time: a path of a thousand long lines is slow to fill.
    for (let i = 0; i < b.list.length; i += 8) {
      ctx.beginPath();
      for (const [x0, y0, x1, y1] of b.list.slice(i, i + 8)) { ctx.moveTo(x0, y0); ctx.lineTo(x1, y1); }
      ctx.stroke();
    }
    ctx.setLineDash([]);
    if (v.shown <= 2500 && !v.light) {
      ctx.beginPath();
      for (const [x0, y0, x1, y1, arrives] of b.list) if (arrives) head(ctx, x0, y0, x1, y1);
      ctx.fill();
    }
    for (const [x0, y0, x1, y1, arrives, msg] of b.list) if (msg.lost) cross(ctx, x1, y1, 4, b.strong ? C.red : C.grey, 1.7);
    ctx.globalAlpha = 1;
  }
  // Where many go together those are named that say something new.
  if (list.length <= 1200 && !f.light) for (const l of labelled) if (list.length < 300 || l[4].lost || !/^(ACK|COMMIT|INFORM|reply|UPTODATE)/.test(l[4].text)) label(f, ...l);
}

function head(ctx, x0, y0, x1, y1) {
  const length = Math.hypot(x1 - x0, y1 - y0) || 1, ux = (x1 - x0) / length, uy = (y1 - y0) / length;
  ctx.moveTo(x1, y1);
  ctx.lineTo(x1 - 7 * ux - 2.8 * uy, y1 - 7 * uy + 2.8 * ux);
  ctx.lineTo(x1 - 7 * ux + 2.8 * uy, y1 - 7 * uy - 2.8 * ux);
}

// Longer than this is worth a word.
const LATE = 20000;

function label(f, x0, y0, x1, y1, msg) {
  if (Math.abs(y1 - y0) < 20 || /^\d+ bytes$/.test(msg.text)) return;
  let text = msg.text;
  const late = msg.e1 >= 0 && !msg.lost && msg.t1 - msg.t0 > LATE;
  if (text.length > 34) text = text.slice(0, 33) + '…';
  if (late) text += ' +' + Q.span(msg.t1 - msg.t0);
  if (msg.flags & 2) text += ' damaged';
  if (msg.flags & 1) text += ' twice';
  const width = text.length * Q.CHAR_SMALL + 4;
  for (const at of [0.5, 0.38, 0.62, 0.26, 0.74]) {
    const x = x0 + (x1 - x0) * at - width / 2, y = y0 + (y1 - y0) * at;
    if (x < f.left || x + width > f.wide || !Q.room(f, x, y, width)) continue;
    f.ctx.font = Q.SMALL;
    f.ctx.textBaseline = 'middle';
    f.ctx.fillStyle = f.C.halo;
    f.ctx.fillRect(x, y - 6, width, 12);
    f.ctx.fillStyle = f.C.classes[msg.cls];
    f.ctx.fillText(text, x + 2, y + 0.5);
    return;
  }
}

// Whether a label fits here; if so it is taken. Labels stand in rows of 13 pixels.
Q.room = function (f, x, y, width) {
  const cells = [Math.floor((y - 6) / 13), Math.floor((y + 6) / 13)];
  for (const c of cells) for (const [a, b] of f.labels.get(c) || []) if (x < b && a < x + width) return false;
  for (const c of new Set(cells)) {
    if (!f.labels.has(c)) f.labels.set(c, []);
    f.labels.get(c).push([x, x + width]);
  }
  return true;
};
