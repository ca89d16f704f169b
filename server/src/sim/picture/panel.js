// The side: what is chosen, where everybody stands, the decided log, faults; and the legend.
Q.RULES = {
  Z1: 'one established leader per epoch', Z2: 'epochs never go back', Z3: 'whoever promised an epoch acknowledges nothing older',
  Z4: 'nothing is delivered that nobody proposed, and each zxid has one content', Z5: 'all servers deliver the same transactions in the same order',
  Z6: 'a leader’s transactions are delivered in its order, without holes', Z7: 'epochs never decrease along what is delivered',
  Z8: 'before its first proposal a leader has delivered everything older', Z9: 'a new leader has everything that was decided',
  Z10: 'nothing decided is ever cut from a log', Z11: 'only what a quorum has durable is decided', Z12: 'decisions follow the order of proposals',
  Z13: 'what is acknowledged or vouched for is durable first', Z14: 'logs have no gaps', Z15: 'a follower’s log is a prefix of its leader’s',
  Z16: 'votes tell the truth', Z17: 'the counter of an epoch never wraps', Z18: 'no illegal messages',
  D1: 'equal zxids have equal trees', D2: 'recovery gives the tree that was', D3: 'stats are exact', D4: 'the tree is well formed', D5: 'ephemerals belong to live sessions',
  D6: 'quotas are counted right', D7: 'nothing in use is reaped', D8: 'a leader foresees its tree rightly', D9: 'rights never widen',
  C1: 'one session’s operations take effect in its order', C2: 'writes are linearizable', C3: 'no client ever sees an older state than before', C4: 'the watch event comes before the data',
  C5: 'each watch fires exactly once', C6: 'no session ends early', C7: 'what a session owned goes with it', C8: 'a sync shows every write before it', C9: 'a multi is all or nothing',
  C10: 'sessions belong to those who know their password', C11: 'a session sees its own writes',
  U1: 'an acknowledged write survives', U2: 'damage is never served', U3: 'recovery is whole or says that it is not', U4: 'purging keeps enough', U5: 'a failing disk stops its server', U6: 'nobody diverges silently',
  L1: 'a leader is found in time', L2: 'everybody follows it in time', L3: 'writes go on in time', L4: 'idle servers agree in time', L5: 'sessions without a client end', L6: 'queues stay bounded', L7: 'elections come to an end',
  panic: 'no server breaks an assertion', determinism: 'the same run is the same',
};
const element = (tag, attributes, ...children) => {
  const out = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes || {})) {
    if (k.startsWith('on')) out.addEventListener(k.slice(2), v); else if (v !== false && v !== null) out.setAttribute(k, v);
  }
  out.append(...children.filter((c) => c !== null && c !== undefined));
  return out;
};
Q.element = element;

Q.panel = function (app) {
  const { v, m } = app, $ = (id) => document.getElementById(id);
  const TABS = [['now', 'State'], ['log', 'Log'], ['faults', 'Faults (' + m.faults.filter((f) => f.id > 0).length + ')']];
  let tab = 'now';
  const left = new Set();

  function selected() {
    const box = $('selected'), e = v.cursor;
    box.replaceChildren();
    if (e < 0) {
      box.append(element('p', { class: 'note' }, 'Click on anything: what must have happened before it stays in colour, all else is greyed.'), element('p', { class: 'note' }, 'Drag or scroll to move, Ctrl and the wheel to zoom.'));
      return;
    }
    const msg = m.messageOf.get(e), lane = m.lanes[m.lane[e]], who = lane ? lane.name : 'the world';
    box.append(element('p', { class: 'note mono' }, Q.ms(m.t[e]) + ' ms · event ' + (e + 1) + ' of ' + m.n));
    if (msg) {
      const end = msg.e1 < 0 ? 'still under way at the end' : msg.lost ? 'lost at ' + Q.ms(msg.t1) + ' ms' : 'arrives after ' + Q.span(msg.t1 - msg.t0);
      box.append(element('p', { class: 'what' }, m.lanes[msg.from].name + ' → ' + m.lanes[msg.to].name + ': ' + msg.text), element('p', { class: 'note' }, Q.CLASSES[msg.cls] + ', sent at ' + Q.ms(msg.t0) + ' ms, ' + end + (msg.flags & 1 ? ', delivered twice' : '') + (msg.flags & 2 ? ', damaged on its way' : '')));
    } else {
      box.append(element('p', { class: 'what' }, who + ' ' + m.text(e)));
      if (m.kindName(e) === 'disk') box.append(element('p', { class: 'note' }, 'took ' + Q.span(m.numbers[e][4] || 0)));
    }
    if (v.cone) box.append(element('p', { class: 'note' }, v.cone.size + ' events happened before it on ' + [...v.cone.past].filter((x) => x >= 0).length + ' lanes' + (v.ahead ? '; what may depend on it is in colour, too' : '')));
    if (v.zxid) box.append(element('p', { class: 'note' }, 'only what speaks of ' + Q.zxid(v.zxid) + ' is in colour (Esc: all)'));
  }

  function now() {
    const at = Q.now(v), servers = m.lanes.filter((l) => l.kind === 'server');
    const head = element('tr', {}, ...['', 'role', 'acc/cur', 'logged', 'durable', 'comm.', 'applied'].map((h) => element('th', {}, h)));
    const states = servers.map((lane) => [lane, Q.standing(m, lane, at)]);
    const digests = new Map();
    for (const [, s] of states) if (s.digest) digests.set(s.digestAt, new Set([...(digests.get(s.digestAt) || []), s.digest]));
    const rows = states.map(([lane, s]) => element('tr', {}, element('td', {}, lane.name), element('td', {}, s.role.replace('leading?', 'leading …')), element('td', {}, s.acc + '/' + s.cur), ...s.marks.map((z) => element('td', {}, Q.zxid(z)))));
    const trees = states.map(([lane, s]) => element('tr', {}, element('td', {}, lane.name), element('td', {}, Q.zxid(s.digestAt)), element('td', { class: s.digest && digests.get(s.digestAt).size > 1 ? 'differs' : '' }, s.digest || '–')));
    return [
      element('h3', {}, 'Where each server stands ' + (v.cursor >= 0 ? 'at ' : 'in the middle of the view, at ') + Q.ms(m.t[at]) + ' ms'), element('table', {}, head, ...rows),
      element('h3', {}, 'Digest of each tree, and its zxid'), element('table', {}, ...trees),
      element('p', { class: 'note' }, 'Equal zxids must have equal digests.'),
      element('h3', {}, 'The same run again'), element('code', {}, m.about.command), element('p', { class: 'note' }, 'digest ' + m.about.digest + ', Quorate ' + m.about.version),
    ];
  }

  function log() {
    const at = Q.now(v), servers = m.lanes.filter((l) => l.kind === 'server');
    const few = servers.length <= 9, known = m.log.filter((g) => g.e <= at), shown = known.slice(-60).reverse();
    const durable = servers.map((lane) => Q.standing(m, lane, at).marks[1]);
    const head = element('tr', {}, element('th', {}, 'zxid'), element('th', {}, 'what'), ...(few ? servers.map((l) => element('th', {}, l.name)) : [element('th', {}, 'durable')]), element('th', {}, 'decided'));
    const rows = shown.map((g) => {
      const has = servers.map((lane, i) => Q.has(m, lane, g.z, at, durable[i]));
      const ticks = few ? has.map((h) => element('td', { class: 'tick', title: ['does not have it', 'has it in its log, not durable', 'has it durable'][h] }, ['·', '○', '●'][h])) : [element('td', {}, has.filter((h) => h === 2).length + '/' + servers.length)];
      const decided = g.decided >= 0 && g.decided <= at;
      return element('tr', { class: 'click' + (v.zxid === g.z ? ' chosen' : ''), onclick: () => app.follow(g.z, g.e) }, element('td', {}, Q.zxid(g.z)), element('td', { class: 'wide', title: g.text }, g.text), ...ticks, element('td', { class: 'tick' }, decided ? '✓' : ''));
    });
    return [
      element('p', { class: 'note' }, 'Proposals up to the cursor, newest first. ● durable, ○ only logged, · not there. Click one to see only what speaks of it.'),
      element('table', {}, head, ...rows), known.length > shown.length ? element('p', { class: 'note' }, (known.length - shown.length) + ' older ones') : null,
    ];
  }

  function faults() {
    const list = m.faults.filter((f) => f.id > 0);
    if (!list.length) return [element('p', { class: 'note' }, 'Nothing was broken on purpose.')];
    const rows = list.map((f) => element('div', { class: 'fault-row' + (v.fault === f ? ' chosen' : '') + (f.took ? '' : ' idle'), onclick: () => app.fault(f) },
      m.about.scenario ? element('input', Object.assign({ type: 'checkbox', title: 'leave it out', onclick: (ev) => { ev.stopPropagation(); if (ev.target.checked) left.add(f.id); else left.delete(f.id); render(); } }, left.has(f.id) ? { checked: '' } : {})) : element('span', {}),
      element('span', { class: 'mono' }, '#' + f.id), element('span', {}, f.text.replace(/^fault \d+ /, '')), element('span', { class: 'time' }, Q.ms(f.t0))));
    const out = [element('p', { class: 'note' }, 'Times in ms. Pale ones met nothing that they would have changed. Click to go there.'), ...rows];
    if (m.about.scenario) {
      const name = (m.about.title.replace(/[^A-Za-z0-9-]+/g, '-') || 'run') + '-without-' + [...left].join('-') + '.json';
      out.push(element('h3', {}, 'Again without some of them'));
      out.push(left.size ? element('button', { id: 'without', onclick: () => download(name) }, 'save ' + name) : element('p', { class: 'note' }, 'Tick those to leave out; the rest becomes a scenario file.'));
      if (left.size) out.push(element('p', { class: 'note' }, 'then: ', element('code', {}, 'quorate sim replay ' + name + ' --html again.html')));
    }
    return out;
  }

  function download(name) {
    const scenario = JSON.parse(JSON.stringify(m.about.scenario));
    scenario.faults.explicit = scenario.faults.explicit.filter((f) => !left.has(f.id));
    scenario.name = name.replace(/\.json$/, '');
    // Whether it still comes out is the question.
    scenario.expect = { verdict: scenario.expect.verdict };
    const link = element('a', { href: URL.createObjectURL(new Blob([JSON.stringify(scenario, null, 1)], { type: 'application/json' })), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function tabs() {
    $('tabs').replaceChildren(...TABS.map(([id, name]) => element('button', { role: 'tab', id: 'tab-' + id, 'aria-selected': String(tab === id), onclick: () => { tab = id; render(); } }, name)));
  }
  let pending = false;
  function render() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      tabs();
      selected();
      const pane = $('pane'), top = pane.scrollTop;
      pane.replaceChildren(...{ now, log, faults }[tab]().filter(Boolean));
      pane.scrollTop = top;
    });
  }
  return { render, show: (id) => { tab = id; render(); } };
};

Q.banner = function (app) {
  const { m } = app, v = m.violation, box = document.getElementById('banner');
  const notes = [];
  if (m.raw.left_out) notes.push(element('p', { class: 'rule' }, m.raw.left_out.toLocaleString('en') + ' older messages, disk operations and the like are left out: before ' + Q.ms(m.raw.whole_since) + ' ms only roles, faults and what is left of clients are drawn.'));
  if (v) {
    const fact = (n, text, e) => element('p', {}, element('span', { class: 'number' }, String(n)), e === null ? text : element('a', { id: 'fact-' + n, onclick: () => app.select(e, true) }, text), e === null ? null : element('span', { class: 'rule' }, '  ' + (m.lanes[m.lane[e]] ? m.lanes[m.lane[e]].name + ' ' : '') + 'at ' + Q.ms(m.t[e]) + ' ms'));
    box.append(element('b', {}, v.invariant + ' is broken'), element('span', { class: 'rule' }, Q.RULES[v.invariant] ? ': ' + Q.RULES[v.invariant] : ''), fact(1, v.happened, v.first), v.known ? fact(2, 'but ' + v.known, v.second) : '');
  }
  box.append(...notes);
  box.hidden = !v && !notes.length;
  box.classList.toggle('quiet', !v);
};

Q.legend = function (app) {
  const { v } = app, C = v.colours, box = document.getElementById('legend');
  box.replaceChildren();
  const picture = (draw, w) => {
    const c = element('canvas', {}), dpr = v.dpr, width = w || 18;
    c.width = width * dpr; c.height = 14 * dpr;
    c.style.width = width + 'px'; c.style.height = '14px';
    const ctx = c.getContext('2d');
    ctx.scale(dpr, dpr);
    draw(ctx);
    return c;
  };
  const item = (sample, text, extra) => box.append(element('span', Object.assign({ class: 'item' }, extra || {}), sample, text));
  const swatch = (colour, hatch) => picture((c) => { c.fillStyle = colour; c.fillRect(0, 1, 18, 12); if (hatch) { c.fillStyle = hatch; c.fillRect(0, 1, 18, 12); } c.strokeStyle = C.line; c.strokeRect(0.5, 1.5, 17, 11); });
  const shape = (name, colour) => picture((c) => Q.shape(c, name, 9, 7, colour || C.text));
  const arrow = (colour, dash, lost) => picture((c) => {
    c.strokeStyle = c.fillStyle = colour; c.lineWidth = 1.5; c.setLineDash(dash || []);
    c.beginPath(); c.moveTo(1, 7); c.lineTo(20, 7); c.stroke(); c.setLineDash([]);
    if (lost) Q.cross(c, 21, 7, 4, C.red, 1.7); else { c.beginPath(); c.moveTo(26, 7); c.lineTo(18, 3.5); c.lineTo(18, 10.5); c.fill(); }
  }, 27);
  for (const [r, words] of [['down', 'down'], ['looking', 'looking'], ['following', 'following'], ['leading?', 'leading, no quorum yet'], ['leading', 'leading'], ['observing', 'observing'], ['paused', 'paused']]) item(swatch(C.roles[r], v.hatches[r]), words);
  item(picture((c) => [0, 1, 2, 3].forEach((k) => { c.fillStyle = C.epochs[0][0]; c.fillRect(k * 4, k * 3 + 1, 13, 3); c.fillStyle = C.epochs[0][1]; c.fillRect(k * 4 + 13, k * 3 + 1, 13, 3); }), 40), 'zxid logged, durable, committed, applied; one colour for each epoch');
  box.append(element('span', { class: 'break' }));
  Q.CLASSES.forEach((name, i) => item(arrow(C.classes[i]), name, { 'data-class': i, title: 'click to hide or show', class: 'item' + ((i === 4 ? !v.pings : v.hidden.has(i)) ? ' off' : ''), onclick: () => app.toggleClass(i) }));
  item(arrow(C.text, null, true), 'lost');
  item(arrow(C.text, [4, 2]), 'twice');
  item(shape('vote'), 'votes'); item(shape('star'), 'established'); item(shape('propose'), 'proposes'); item(shape('decide'), 'decides');
  item(shape('stop', C.fault), 'crash'); item(shape('start'), 'start'); item(shape('recovered'), 'recovered'); item(shape('cut', C.fault), 'log cut');
  item(picture((c) => { c.strokeStyle = C.text; c.strokeRect(1.5, 3.5, 12, 8); }), 'append'); item(picture((c) => { c.fillStyle = C.text; c.fillRect(1, 3, 12, 9); }), 'fsync');
  item(picture((c) => { for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) if ((i + j) % 2 === 0) { c.fillStyle = C.red; c.fillRect(1 + i * 4, 1 + j * 4, 4, 4); } }), 'torn');
  item(swatch(C.ok), 'answered'); item(swatch(C.bad), 'error'); item(swatch(C.lane, v.hatches.cut), 'no answer');
  item(swatch(C.bg, v.hatches.linkA), 'link faulty'); item(swatch(C.bg, v.hatches.fault), 'server or disk faulty');
};
