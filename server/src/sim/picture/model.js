'use strict';
// What happened, indexed: lanes, messages, intervals, marks, faults. Times are µs of the run, events are numbered in its order.
const Q = {};

Q.CLASSES = ['election', 'sync', 'broadcast', 'client', 'ping'];
Q.zxid = (n) => n <= 0 ? (n === 0 ? '0' : '–') : Math.floor(n / 4294967296) + '.' + (n % 4294967296);
Q.epochOf = (n) => Math.floor(n / 4294967296);
Q.ms = (us) => (us / 1000).toFixed(3);
// A duration, as short as it can be read.
Q.span = (us) => us >= 1e6 ? (us / 1e6).toFixed(us >= 1e7 ? 0 : 1) + ' s' : us >= 1000 ? (us / 1000).toFixed(us >= 1e4 ? 0 : 1) + ' ms' : Math.round(us) + ' µs';

// First index whose value is not below `x`.
Q.lower = function (list, x, value) {
  let lo = 0, hi = list.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (value(list[mid]) < x) lo = mid + 1; else hi = mid;
  }
  return lo;
};
// The last item at or before `x`.
Q.last = function (list, x, value) {
  const i = Q.lower(list, x + 0.5, value);
  return i > 0 ? list[i - 1] : null;
};
const byE = (m) => m.e;

Q.load = function (about, raw) {
  const n = raw.facts.length, servers = about.servers.length;
  const m = {
    about, raw, n, servers, kinds: raw.kinds, roles: raw.roles,
    t: new Float64Array(n), lane: new Int32Array(n), kind: new Uint8Array(n), texts: new Int32Array(n), numbers: new Array(n),
    lanes: [], messages: [], long: [], messageOf: new Map(), log: [], byZxid: new Map(), faults: [], violation: raw.violation,
  };
  m.K = {};
  raw.kinds.forEach((name, i) => { m.K[name] = i; });
  m.text = (e) => raw.texts[m.texts[e]];
  m.kindName = (e) => raw.kinds[m.kind[e]];
  about.servers.forEach((s, i) => m.lanes.push(newServer(i, s)));
  for (let c = 0; c < about.clients; c++) m.lanes.push(newClient(servers + c, 'c' + (c + 1)));
  let t = 0;
  for (let e = 0; e < n; e++) {
    const f = raw.facts[e];
    t += f[0];
    m.t[e] = t;
    m.lane[e] = f[1];
    m.kind[e] = f[2];
    m.texts[e] = f[3];
    m.numbers[e] = f;
    if (f[1] >= 0) m.lanes[f[1]].events.push(e);
  }
  m.end = Math.max(t, 1);
  m.start = n ? m.t[0] : 0;
  loadFaults(m);
  const sent = new Map();
  for (let e = 0; e < n; e++) take(m, e, sent);
  for (const lane of m.lanes) finish(m, lane);
  m.messages.sort((a, b) => a.t0 - b.t0);
  m.long = m.messages.filter((x) => x.t1 - x.t0 > Q.LONG);
  m.short = m.messages.filter((x) => x.t1 - x.t0 <= Q.LONG);
  if (m.violation && m.violation.first === null) m.violation.first = violationEvent(m);
  m.boring = boring(m);
  // Checks write zxids in hexadecimal; all else here is epoch.counter.
  const plain = (text) => text.replace(/0x[0-9a-f]{9,}/g, (h) => m.byZxid.has(Number(h)) ? Q.zxid(Number(h)) : h).replace(/\b0x0\b/g, '0.0');
  if (m.violation) for (const key of ['happened', 'known']) m.violation[key] = plain(m.violation[key]);
  return m;
};
// Messages under way for longer are looked for one by one.
Q.LONG = 50000;

const newServer = (i, s) => ({
  i, name: s.name, kind: s.kind === 'outside' ? 'outside' : 'server', voter: s.kind === 'voter', events: [], roles: [], epochs: [],
  marks: [[], [], [], []], disk: [], digests: [], glyphs: [], loggedAt: new Map(), cuts: [], bases: [], faults: [],
  now: { role: 'down', acc: 0, cur: 0, marks: [0, 0, 0, 0] },
});
const newClient = (i, name) => ({
  i, name, kind: 'client', events: [], ops: [], rows: 1, session: [], watches: [], glyphs: [], faults: [], open: new Map(), ends: [],
});

function setRole(m, lane, e, role) {
  if (lane.now.role === role) return;
  lane.now.role = role;
  lane.roles.push({ e, t: m.t[e], role });
}
function setEpochs(m, lane, e, acc, cur) {
  if (lane.now.acc === acc && lane.now.cur === cur) return;
  lane.now.acc = acc;
  lane.now.cur = cur;
  lane.epochs.push({ e, t: m.t[e], acc, cur });
}
// 0 logged, 1 durable, 2 committed, 3 applied.
function setMark(m, lane, e, which, z) {
  if (lane.now.marks[which] === z) return;
  lane.now.marks[which] = z;
  lane.marks[which].push({ e, t: m.t[e], z });
}
const raiseMark = (m, lane, e, which, z) => setMark(m, lane, e, which, Math.max(z, lane.now.marks[which]));
const lowerMark = (m, lane, e, which, z) => setMark(m, lane, e, which, Math.min(z, lane.now.marks[which]));
const digestOf = (text) => { const d = /digest (0x[0-9a-f]+)/.exec(text); return d ? d[1] : ''; };

function take(m, e, sent) {
  const f = m.numbers[e], at = m.t[e], lane = m.lanes[m.lane[e]], name = m.kinds[f[2]];
  const a = f[4] || 0, b = f[5] || 0, c = f[6] || 0, d = f[7] || 0;
  if (name === 'sent') {
    const msg = { id: a, from: m.lane[e], to: b, t0: at, t1: at, e0: e, e1: -1, cls: c, flags: d, text: m.text(e), lost: false };
    sent.set(a, msg);
    m.messageOf.set(e, msg);
    m.messages.push(msg);
    return;
  }
  if (name === 'received' || name === 'lost') {
    const msg = sent.get(a);
    if (msg) {
      msg.t1 = at;
      msg.e1 = e;
      msg.lost = name === 'lost';
      m.messageOf.set(e, msg);
    }
    if (name === 'received' && lane && lane.marks && c > 0) raiseMark(m, lane, e, 2, c);
    return;
  }
  if (!lane) {
    if (name === 'healed' || name === 'outside') m.faults.push({ id: 0, kind: name, t0: at, t1: at, e, took: true, text: m.text(e), lanes: [], from: [], to: [] });
    return;
  }
  if (lane.kind === 'client') return takeClient(m, lane, e, name, a, b, c, d);
  const glyph = (shape, label) => lane.glyphs.push({ e, t: at, shape, label });
  switch (name) {
    case 'started': setRole(m, lane, e, 'recovering'); glyph('start', ''); break;
    case 'survived': lane.survived = { e, text: m.text(e), torn: c > 0 }; if (c > 0) lane.disk.push({ t0: at, t1: at, e, what: 9, failed: false }); break;
    case 'stopped':
      setRole(m, lane, e, 'down');
      setMark(m, lane, e, 2, 0);
      setMark(m, lane, e, 3, 0);
      glyph('stop', m.text(e) + (lane.survived && lane.survived.e === e - 1 ? ': ' + lane.survived.text.replace(' changes that were not synced survive', ' unsynced kept') : ''));
      break;
    case 'recovered':
      setMark(m, lane, e, 0, a); setMark(m, lane, e, 1, a); setMark(m, lane, e, 2, b); setMark(m, lane, e, 3, b);
      setEpochs(m, lane, e, c, d);
      lane.cuts.push({ e, z: a });
      lane.bases.push({ e, z: b });
      glyph('recovered', 'recovered ' + Q.zxid(a) + ', tree ' + Q.zxid(b));
      break;
    case 'role': setRole(m, lane, e, m.roles[a]); break;
    case 'election': glyph('vote', 'votes for itself: ' + Q.zxid(b)); break;
    case 'elected': glyph('dot', 'finds leader s' + a); break;
    case 'established': setRole(m, lane, e, 'leading'); raiseMark(m, lane, e, 2, b); glyph('star', 'leads epoch ' + a); break;
    case 'uptodate': glyph('dot', 'up to date'); break;
    case 'acc': setEpochs(m, lane, e, a, lane.now.cur); break;
    case 'cur': setEpochs(m, lane, e, lane.now.acc, a); break;
    case 'sync': glyph('dot', m.text(e).replace('synchronises ', '').replace(/ by (\w+):.*/, ': $1')); break;
    case 'acknewleader': setMark(m, lane, e, 0, b); setMark(m, lane, e, 1, b); break;
    case 'proposed': addLog(m, e, a); glyph('propose', Q.zxid(a)); break;
    case 'logged':
      setMark(m, lane, e, 0, a);
      if (!lane.loggedAt.has(a)) lane.loggedAt.set(a, []);
      lane.loggedAt.get(a).push(e);
      if (!m.byZxid.has(a)) addLog(m, e, a);
      break;
    case 'durable': setMark(m, lane, e, 1, a); break;
    case 'decided': raiseMark(m, lane, e, 2, a); decide(m, a, e); glyph('decide', Q.zxid(a)); break;
    case 'applied': setMark(m, lane, e, 3, a); raiseMark(m, lane, e, 2, a); decide(m, a, e); lane.digests.push({ e, digest: digestOf(m.text(e)), z: a }); break;
    case 'replaced':
      setMark(m, lane, e, 2, a); setMark(m, lane, e, 3, a);
      lane.bases.push({ e, z: a });
      lane.digests.push({ e, digest: digestOf(m.text(e)), z: a });
      if (a > 0) glyph('dot', 'snapshot loaded ' + Q.zxid(a));
      break;
    case 'truncated':
      lowerMark(m, lane, e, 0, a); lowerMark(m, lane, e, 1, a); lowerMark(m, lane, e, 2, a);
      lane.cuts.push({ e, z: a });
      glyph('cut', 'log cut behind ' + Q.zxid(a));
      break;
    case 'snapshot': glyph('dot', 'snapshot ' + Q.zxid(a)); break;
    case 'expired': glyph('dot', m.text(e).replace(/:.*/, '')); break;
    case 'mismatch': glyph('warn', m.text(e)); break;
    case 'note': glyph('warn', m.text(e)); break;
    case 'disk': lane.disk.push({ t0: at - a, t1: at, e, what: b, failed: c === 1, cut: c === 2 }); break;
    default: break;
  }
}

function addLog(m, e, z) {
  const text = m.text(e), hash = /hash (0x[0-9a-f]+)/.exec(text);
  const entry = { z, e, t: m.t[e], by: m.kindName(e) === 'proposed' ? m.lane[e] : -1, text: text.replace(/^(proposes|logs) [^:,]*:? ?/, '').replace(/,? ?hash 0x[0-9a-f]+/, ''), hash: hash ? hash[1] : '', decided: -1 };
  m.log.push(entry);
  m.byZxid.set(z, entry);
}
function decide(m, z, e) {
  const entry = m.byZxid.get(z);
  if (entry && entry.decided < 0) entry.decided = e;
}

function takeClient(m, lane, e, name, a, b, c, d) {
  const at = m.t[e], text = m.text(e);
  if (name === 'attached') lane.session.push({ t: at, e, state: 'on', node: a, timeout: b * 1000, touches: [at] });
  const now = lane.session[lane.session.length - 1];
  switch (name) {
    case 'asked': {
      const op = { e0: e, e1: -1, t0: at, t1: -1, text: text.replace(/^asks /, ''), result: '', ok: true, zxid: 0, row: 0 };
      lane.open.set(a, op);
      lane.ops.push(op);
      break;
    }
    case 'replied': {
      const op = lane.open.get(a);
      lane.open.delete(a);
      if (op) Object.assign(op, { t1: at, e1: e, zxid: b, ok: c === 0, result: text.replace(/^is answered #\S+ at \S+ /, '') });
      if (now) now.touches.push(at);
      break;
    }
    case 'ponged': if (now) now.touches.push(at); break;
    case 'detached':
      for (const op of lane.open.values()) Object.assign(op, { t1: at, e1: e, result: 'never answered', ok: false, cut: true });
      lane.open.clear();
      if (now) lane.session.push({ t: at, e, state: 'off', node: now.node, timeout: now.timeout, touches: [now.touches[now.touches.length - 1]] });
      break;
    case 'refused':
      lane.session.push({ t: at, e, state: 'gone', node: a, timeout: 0, touches: [] });
      lane.glyphs.push({ e, t: at, shape: 'stop', label: 'session expired' });
      break;
    case 'watch': lane.watches.push({ e, t: at, text: text.replace('watch event ', '') }); break;
    case 'note': lane.glyphs.push({ e, t: at, shape: 'dot', label: text }); break;
    default: break;
  }
}

function laneIndex(m, name) {
  const lane = m.lanes.findIndex((l) => l.name === name);
  return lane;
}
function lanesOf(m, text) {
  if (!text) return [];
  if (text === '*') return m.lanes.map((l) => l.i);
  return text.split(',').map((name) => laneIndex(m, name)).filter((i) => i >= 0);
}

function loadFaults(m) {
  const first = new Map();
  for (let e = 0; e < m.n; e++) if (m.kindName(e) === 'fault') first.set(m.numbers[e][4] + '@' + m.t[e], e);
  for (const s of m.raw.faults) {
    const f = s.fault, e = first.get(f.id + '@' + s.at);
    const fault = {
      id: f.id, kind: f.do, t0: s.at, t1: s.until === null ? (f.hold_ms ? m.end : s.at) : s.until, open: s.until === null && !!f.hold_ms, e: e === undefined ? -1 : e, took: s.took,
      text: e === undefined ? f.do : m.text(e), lanes: lanesOf(m, f.node), from: lanesOf(m, f.from), to: lanesOf(m, f.to), value: f.value, raw: f,
    };
    m.faults.push(fault);
    for (const i of new Set([...fault.lanes, ...fault.from, ...fault.to])) m.lanes[i].faults.push(fault);
    if (f.do === 'pause' || f.do === 'suspend') for (const i of fault.lanes) (m.lanes[i].paused = m.lanes[i].paused || []).push(fault);
  }
}

function finish(m, lane) {
  if (lane.kind !== 'client') {
    for (const list of lane.marks) if (!list.length) list.push({ e: -1, t: 0, z: 0 });
    return;
  }
  for (const op of lane.open.values()) Object.assign(op, { t1: m.end, result: 'no answer yet', ok: false, cut: true });
  const ends = [], last = [];
  for (const op of lane.ops) {
    let row = 0;
    while (row < 3 && ends[row] > op.t0) row++;
    op.row = row;
    op.room = Infinity;
    if (last[row]) last[row].room = op.t0;
    last[row] = op;
    ends[row] = op.t1;
    lane.rows = Math.max(lane.rows, row + 1);
  }
}

function violationEvent(m) {
  for (let e = m.n - 1; e >= 0; e--) if (m.kindName(e) === 'violation') return e;
  return null;
}

// Heartbeats and what idle servers write: no reason to unfold time.
function boring(m) {
  const out = new Uint8Array(m.n);
  for (let e = 0; e < m.n; e++) {
    const name = m.kindName(e);
    const msg = m.messageOf.get(e);
    if (name === 'ponged' || (msg && msg.cls === 4) || (name === 'disk' && /watermark/.test(m.text(e)))) out[e] = 1;
  }
  return out;
}

// Where a server stands right behind event `e`.
Q.standing = function (m, lane, e) {
  const role = Q.last(lane.roles, e, byE), epochs = Q.last(lane.epochs, e, byE), digest = Q.last(lane.digests, e, byE);
  const t = e >= 0 ? m.t[e] : 0;
  const paused = role && role.role !== 'down' && (lane.paused || []).some((f) => f.t0 <= t && t < f.t1);
  return {
    role: paused ? 'paused' : role ? role.role : 'down', acc: epochs ? epochs.acc : 0, cur: epochs ? epochs.cur : 0,
    marks: lane.marks.map((list) => { const mark = Q.last(list, e, byE); return mark ? mark.z : 0; }),
    digest: digest ? digest.digest : '', digestAt: digest ? digest.z : 0,
  };
};
// Whether a server has a transaction in its log behind event `e`: 0 no, 1 logged, 2 durable.
Q.has = function (m, lane, z, e, durable) {
  const cutSince = (from) => lane.cuts.some((c) => c.e > from && c.e <= e && c.z < z);
  const logged = (lane.loggedAt.get(z) || []).some((at) => at <= e && !cutSince(at));
  const entry = m.byZxid.get(z);
  const base = () => entry && entry.decided >= 0 && lane.bases.some((b) => b.e <= e && b.z >= z && !cutSince(b.e));
  if (!logged && !base()) return 0;
  return durable >= z ? 2 : 1;
};
// What must have happened before `e`, and what may depend on it: for each lane the last and the first event of these.
Q.cone = function (m, e) {
  const past = new Float64Array(m.lanes.length).fill(-1), future = new Float64Array(m.lanes.length).fill(Infinity);
  const walk = (start, bound, forward) => {
    const todo = [start];
    while (todo.length) {
      const at = todo.pop(), i = m.lane[at];
      if (i < 0 || (forward ? bound[i] <= at : bound[i] >= at)) continue;
      const events = m.lanes[i].events, was = bound[i];
      bound[i] = at;
      let k = Q.lower(events, at, (x) => x);
      for (; forward ? k < events.length && events[k] < was : k >= 0 && events[k] > was; k += forward ? 1 : -1) {
        const msg = m.messageOf.get(events[k]);
        if (!msg || msg.e1 < 0 || msg.lost) continue;
        if (forward && msg.e0 === events[k]) todo.push(msg.e1);
        if (!forward && msg.e1 === events[k]) todo.push(msg.e0);
      }
    }
  };
  walk(e, past, false);
  walk(e, future, true);
  let size = 0;
  for (const lane of m.lanes) size += Q.lower(lane.events, past[lane.i] + 0.5, (x) => x);
  return { e, past, future, size };
};
