// State, input, frames.
(function () {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const about = read('about'), m = Q.load(about, read('facts'));
  const $ = (id) => document.getElementById(id);
  const scroller = $('scroller'), spacer = $('spacer'), canvas = $('view'), overview = $('overview'), tip = $('tip');
  const v = {
    m, ctx: canvas.getContext('2d'), zoom: 40, pings: false, hidden: new Set(), dense: m.servers > 9, cursor: -1, cone: null, coneOn: true, ahead: false, zxid: 0, fault: null,
    sx: 0, sy: 0, w: 0, h: 0, dpr: 1, top: Q.AXIS, folded: true,
  };
  const app = { v, m };
  let hits = [], stale = false, planned = false, anew = true, moving = false, cost = 0, run = null;

  function theme(dark) {
    document.documentElement.classList.toggle('dark', dark);
    v.colours = Q.colours();
    const C = v.colours, H = (colour, flip, step) => Q.hatch(v.ctx, colour, flip, step);
    v.hatches = { down: H(C.faint, false, 7), 'leading?': H(C.roles.leading, false, 7), paused: H(C.dim, true, 5), fault: H(C.fault, false, 4), linkA: H(C.fault, true, 5), linkB: H(C.dim, false, 5), cut: H(C.dim, false, 5), missing: H(C.line, false, 12) };
    Q.legend(app);
    run = null;
    frame();
  }
  function resize() {
    v.dpr = window.devicePixelRatio || 1;
    v.w = scroller.clientWidth;
    v.h = scroller.clientHeight;
    canvas.width = Math.round(v.w * v.dpr);
    canvas.height = Math.round(v.h * v.dpr);
    canvas.style.width = v.w + 'px';
    canvas.style.height = v.h + 'px';
    overview.width = Math.round(overview.clientWidth * v.dpr);
    overview.height = Math.round(overview.clientHeight * v.dpr);
    run = null;
    size();
  }
  function size() {
    spacer.style.width = Math.ceil(Q.LEFT + v.line.width + v.w * 0.4) + 'px';
    spacer.style.height = Math.ceil(Math.max(v.lanes.height + v.top, 1)) + 'px';
    frame();
  }
  function layout() {
    v.line = Q.timeline(m, v.zoom, v.pings, v.folded);
    v.lanes = Q.lanes(m, v.dense);
    v.top = Q.AXIS + (m.faults.length ? Q.faultRows(m, 3) * 14 + 5 : 0);
    if (v.w) size();
  }
  function frame(scrolled) {
    anew = anew || scrolled !== true;
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      if (anew || !moved()) {
        anew = false;
        // On whole pixels of the screen, so that it can be moved by whole ones.
        v.sx = Math.round(scroller.scrollLeft * v.dpr) / v.dpr;
        v.sy = Math.round(scroller.scrollTop * v.dpr) / v.dpr;
        // Slow frames while the view moves: the rest is drawn when it stands.
        v.light = moving && cost > 9;
        const began = performance.now();
        hits = Q.draw(v);
        stale = false;
        if (!v.light) cost = performance.now() - began;
        crowd();
      }
      drawOverview();
    });
  }
  // Where a frame is slow, or has many lanes, what stays in view is not drawn anew while it moves.
  function moved() {
    if (!moving || (cost <= 9 && !v.dense)) return false;
    const dx = Math.round((scroller.scrollLeft - v.sx) * v.dpr), dy = Math.round((scroller.scrollTop - v.sy) * v.dpr);
    if (Math.abs(dx) > (v.w - Q.LEFT) * v.dpr / 2 || Math.abs(dy) > (v.h - v.top) * v.dpr / 2) return false;
    v.sx += dx / v.dpr;
    v.sy += dy / v.dpr;
    stale = true;
    v.light = false;
    if (dx || dy) Q.move(v, dx, dy);
    return true;
  }
  function crowd() {
    const many = v.crowd > Q.ARROWS;
    $('crowd').hidden = !many;
    if (many) $('crowd').textContent = v.crowd.toLocaleString('en') + ' messages in view: zoom in (+) to see them';
  }

  // The whole run, and what is in view of it framed.
  function drawOverview() {
    const c = overview.getContext('2d'), w = overview.clientWidth, h = overview.clientHeight;
    if (!overview.width || !overview.height) return;
    run = run || drawRun(w, h);
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.drawImage(run, 0, 0);
    c.setTransform(v.dpr, 0, 0, v.dpr, 0, 0);
    const x = (t) => Q.LEFT + (t - m.start) / Math.max(1, m.end - m.start) * (w - Q.LEFT - 10);
    const a = x(v.line.t(v.sx)), b = x(v.line.t(v.sx + v.w - Q.LEFT));
    c.strokeStyle = v.colours.select;
    c.lineWidth = 1.5;
    c.strokeRect(a - 1, 1, Math.max(b - a, 3) + 2, h - 2);
  }
  // A line for each server, faults above.
  function drawRun(w, h) {
    const out = document.createElement('canvas'), c = out.getContext('2d'), C = v.colours;
    out.width = overview.width;
    out.height = overview.height;
    c.setTransform(v.dpr, 0, 0, v.dpr, 0, 0);
    c.fillStyle = C.bg;
    c.fillRect(0, 0, w, h);
    const x = (t) => Q.LEFT + (t - m.start) / Math.max(1, m.end - m.start) * (w - Q.LEFT - 10);
    app.overviewTime = (px) => m.start + (px - Q.LEFT) / (w - Q.LEFT - 10) * (m.end - m.start);
    const servers = m.lanes.filter((l) => l.kind === 'server'), step = (h - 16) / Math.max(servers.length, 1);
    servers.forEach((lane, i) => {
      lane.roles.forEach((r, k) => {
        const a = x(r.t), b = x(k + 1 < lane.roles.length ? lane.roles[k + 1].t : m.end);
        c.fillStyle = C.roles[r.role] || C.lane;
        c.fillRect(a, 12 + i * step, Math.max(b - a, 0.5), Math.max(step - (step > 3 ? 1 : 0), 0.5));
      });
    });
    for (const f of m.faults) {
      c.fillStyle = f.id ? C.fault : C.classes[1];
      c.globalAlpha = 0.85;
      c.fillRect(x(f.t0), 2, 1.5, 8);
      c.globalAlpha = 0.22;
      c.fillRect(x(f.t0), 3, Math.max(0, x(f.t1) - x(f.t0)), 4);
      c.globalAlpha = 1;
    }
    if (m.violation) { c.fillStyle = C.red; c.fillRect(x(m.violation.at) - 1, 0, 2.5, h); }
    c.fillStyle = C.dim;
    c.font = Q.SMALL;
    c.textBaseline = 'middle';
    c.fillText('whole run', 10, 12);
    c.fillText(Q.span(m.end - m.start), 10, 26);
    return out;
  }

  const clampZoom = (z) => Math.min(4000, Math.max((v.w - Q.LEFT - 40) / Math.max(1, (m.end - m.start) / 1000), 0.005, z));
  // Zooms around a place of the canvas.
  function zoomTo(zoom, px) {
    const at = px === undefined ? (v.cursor >= 0 && onScreen(v.cursor) ? Q.LEFT + v.line.x(m.t[v.cursor]) - scroller.scrollLeft : (v.w + Q.LEFT) / 2) : px;
    const t = v.line.t(scroller.scrollLeft + at - Q.LEFT);
    v.zoom = clampZoom(zoom);
    layout();
    scroller.scrollLeft = v.line.x(t) - (at - Q.LEFT);
    frame();
  }
  const onScreen = (e) => { const x = v.line.x(m.t[e]) - scroller.scrollLeft; return x >= 0 && x <= v.w - Q.LEFT; };
  function reveal(e, centre) {
    const x = v.line.x(m.t[e]) - scroller.scrollLeft, room = v.w - Q.LEFT;
    if (centre || x < room * 0.08 || x > room * 0.92) scroller.scrollLeft = v.line.x(m.t[e]) - room * (centre ? 0.6 : 0.5);
    const row = v.lanes.rows[m.lane[e]];
    if (row) {
      const y = row.y - scroller.scrollTop;
      if (y < 0 || y + row.h > v.h - v.top) scroller.scrollTop = row.y - (v.h - v.top - row.h) / 2;
    }
  }

  app.select = function (e, centre) {
    v.cursor = e;
    v.zxid = 0;
    v.fault = null;
    v.cone = v.coneOn && m.lane[e] >= 0 ? Q.cone(m, e) : null;
    reveal(e, centre);
    changed();
  };
  app.clear = function () {
    v.cursor = -1;
    v.cone = null;
    v.zxid = 0;
    v.fault = null;
    changed();
  };
  // Only what speaks of a transaction stays in colour.
  app.follow = function (z, e) {
    v.cursor = e;
    v.cone = null;
    v.zxid = v.zxid === z ? 0 : z;
    reveal(e, false);
    changed();
  };
  app.fault = function (f) {
    v.fault = f;
    v.cone = null;
    v.zxid = 0;
    if (f.e >= 0) { v.cursor = f.e; reveal(f.e, false); }
    changed();
  };
  app.toggleClass = function (i) {
    if (i === 4) { v.pings = !v.pings; keepTime(layout); } else if (v.hidden.has(i)) v.hidden.delete(i); else v.hidden.add(i);
    Q.legend(app);
    frame();
  };
  function keepTime(change) {
    const t = v.line.t(scroller.scrollLeft);
    change();
    scroller.scrollLeft = v.line.x(t);
  }
  let told = 0;
  function changed() {
    frame();
    app.panel.render();
    clearTimeout(told);
    told = setTimeout(() => {
      try { history.replaceState(null, '', '#' + new URLSearchParams({ zoom: v.zoom.toPrecision(4), t: Math.round(v.line.t(scroller.scrollLeft)), ...(v.cursor >= 0 ? { e: v.cursor } : {}) })); } catch { /* a sandbox without history */ }
    }, 300);
  }

  // Stepping: the next event of a list in the order of the run.
  const effects = [], messages = [], faults = [];
  for (let e = 0; e < m.n; e++) {
    const name = m.kindName(e);
    if (name === 'fault') faults.push(e);
    if (m.boring[e]) continue;
    if (name === 'sent') messages.push(e);
    else if (name !== 'received' && name !== 'lost' && name !== 'faultends' && name !== 'end') effects.push(e);
  }
  function step(list, forward) {
    if (!list.length) return;
    let from = v.cursor;
    if (from < 0) {
      const t = v.line.t(scroller.scrollLeft + (forward ? 0 : v.w));
      from = 0;
      while (from < m.n && m.t[from] < t) from++;
      if (forward) from--;
    }
    const i = forward ? Q.lower(list, from + 0.5, (e) => e) : Q.lower(list, from, (e) => e) - 1;
    if (i >= 0 && i < list.length) app.select(list[i], false);
  }
  const sameLane = () => { const lane = v.cursor >= 0 ? m.lane[v.cursor] : -1; return lane < 0 ? effects : effects.filter((e) => m.lane[e] === lane); };
  const KEYS = [
    ['→ ←', 'next, previous effect', { ArrowRight: () => step(effects, true), ArrowLeft: () => step(effects, false) }],
    ['↓ ↑', 'next, previous effect of the same lane', { ArrowDown: () => step(sameLane(), true), ArrowUp: () => step(sameLane(), false) }],
    ['m M', 'next, previous message', { m: () => step(messages, true), M: () => step(messages, false) }],
    ['f F', 'next, previous fault', { f: () => step(faults, true), F: () => step(faults, false) }],
    ['v', 'the violation', { v: () => violation() }],
    ['1 2', 'its two facts', { 1: () => fact('first'), 2: () => fact('second') }],
    ['c', 'cone on or off: only what happened before stays in colour', { c: () => { v.coneOn = !v.coneOn; v.cone = v.coneOn && v.cursor >= 0 && m.lane[v.cursor] >= 0 ? Q.cone(m, v.cursor) : null; changed(); } }],
    ['a', 'cone: also what may depend on it', { a: () => { v.ahead = !v.ahead; changed(); } }],
    ['+ −', 'zoom', { '+': () => zoomTo(v.zoom * 1.6), '=': () => zoomTo(v.zoom * 1.6), '-': () => zoomTo(v.zoom / 1.6) }],
    ['0', 'the whole run', { 0: () => whole() }],
    ['i', 'fold or unfold idle stretches', { i: () => { v.folded = !v.folded; keepTime(layout); } }],
    ['h', 'high or low lanes', { h: () => { v.dense = !v.dense; layout(); } }],
    ['g', 'pings', { g: () => app.toggleClass(4) }],
    ['p', 'panel', { p: () => { $('panel').classList.toggle('closed'); resize(); } }],
    ['l', 'log of proposals', { l: () => app.panel.show('log') }],
    ['d', 'light or dark', { d: () => theme(!document.documentElement.classList.contains('dark')) }],
    ['/', 'find', { '/': () => $('find').focus() }],
    ['PgUp PgDn Home End', 'move by a page, to the start, to the end', { PageUp: () => page(-1), PageDown: () => page(1), Home: () => { scroller.scrollLeft = 0; }, End: () => { scroller.scrollLeft = v.line.width; } }],
    ['Esc', 'nothing chosen', { Escape: () => app.clear() }],
    ['?', 'all keys', { '?': () => $('help').showModal() }],
  ];
  const page = (n) => { scroller.scrollLeft += n * (v.w - Q.LEFT) * 0.85; };
  function violation() {
    if (!m.violation) return;
    const { first, second } = m.violation;
    if (first !== null && second !== null) {
      // Both facts in view; idle stretches fold differently at each zoom.
      const gap = () => Math.abs(v.line.x(m.t[first]) - v.line.x(m.t[second])), room = (v.w - Q.LEFT) * 0.5;
      for (let k = 0; k < 40 && gap() > room; k++) { v.zoom = clampZoom(v.zoom * 0.8); layout(); }
    }
    if (first === null) return;
    app.select(first, true);
    if (second === null) return;
    const left = Math.min(v.line.x(m.t[first]), v.line.x(m.t[second])), right = Math.max(v.line.x(m.t[first]), v.line.x(m.t[second]));
    if (right - left < v.w - Q.LEFT - 60 && left - 40 < scroller.scrollLeft) scroller.scrollLeft = left - 40;
  }
  const fact = (which) => { if (m.violation && m.violation[which] !== null) app.select(m.violation[which], false); };
  function whole() {
    v.zoom = clampZoom(0);
    layout();
    scroller.scrollLeft = 0;
    changed();
  }
  document.addEventListener('keydown', (ev) => {
    if (ev.ctrlKey || ev.metaKey || ev.altKey || ev.target.tagName === 'INPUT' || $('help').open) return;
    for (const [, , actions] of KEYS) {
      if (!Object.hasOwn(actions, ev.key)) continue;
      ev.preventDefault();
      actions[ev.key]();
      return;
    }
  });

  // What the pointer is at: boxes first, then the nearest arrow; folds and extents only when nothing else is there.
  function pointed(px, py) {
    let best = null, distance = 6, weak = null;
    if (stale) {
      hits = Q.draw(v);
      stale = false;
    }
    for (let i = hits.length - 1; i >= 0; i--) {
      const q = hits[i];
      if (q.kind === 'box') {
        if (px < q.x || px > q.x + q.w || py < q.y || py > q.y + q.h) continue;
        if (q.weak) { weak = weak || q; continue; }
        return q;
      }
      const dx = q.x1 - q.x0, dy = q.y1 - q.y0, k = Math.max(0, Math.min(1, ((px - q.x0) * dx + (py - q.y0) * dy) / (dx * dx + dy * dy || 1)));
      const d = Math.hypot(px - q.x0 - k * dx, py - q.y0 - k * dy);
      if (d < distance) { distance = d; best = { ...q, end: k > 0.5 }; }
    }
    return best || weak;
  }
  function describe(q) {
    if (q.fold) return [Q.span(q.fold.t1 - q.fold.t0) + ' in which nothing but heartbeats happened (i: unfold)'];
    if (q.fault) return [q.fault.text, Q.ms(q.fault.t0) + ' ms' + (q.fault.t1 > q.fault.t0 ? ' to ' + (q.fault.open ? 'the end' : Q.ms(q.fault.t1) + ' ms') : '') + (q.fault.took ? '' : '; it met nothing')];
    if (q.op) return [q.op.text + ' → ' + q.op.result + (q.op.zxid > 0 ? ' at ' + Q.zxid(q.op.zxid) : ''), m.lanes[m.lane[q.op.e0]].name + ' asked at ' + Q.ms(q.op.t0) + ' ms' + (q.op.cut ? '' : ', answered after ' + Q.span(q.op.t1 - q.op.t0))];
    if (q.msg) {
      const x = q.msg, end = x.e1 < 0 ? 'under way' : x.lost ? 'lost' : Q.span(x.t1 - x.t0);
      return [m.lanes[x.from].name + ' → ' + m.lanes[x.to].name + ': ' + x.text, Q.ms(x.t0) + ' ms, ' + end + (x.flags & 1 ? ', twice' : '') + (x.flags & 2 ? ', damaged' : '')];
    }
    if (q.e === undefined || q.e < 0) return [];
    return [(m.lanes[m.lane[q.e]] ? m.lanes[m.lane[q.e]].name + ' ' : '') + m.text(q.e), Q.ms(m.t[q.e]) + ' ms'];
  }
  let drag = null;
  const local = (ev) => { const r = canvas.getBoundingClientRect(); return [ev.clientX - r.left, ev.clientY - r.top]; };
  canvas.addEventListener('pointermove', (ev) => {
    const [px, py] = local(ev);
    if (drag) {
      if (Math.abs(ev.clientX - drag.x) + Math.abs(ev.clientY - drag.y) > 4) drag.moved = true;
      if (drag.moved) { scroller.scrollLeft = drag.sx - (ev.clientX - drag.x); scroller.scrollTop = drag.sy - (ev.clientY - drag.y); tip.hidden = true; return; }
    }
    const q = px > Q.LEFT ? pointed(px, py) : null, words = q ? describe(q) : [];
    canvas.style.cursor = q && !q.weak ? 'pointer' : 'default';
    tip.hidden = !words.length;
    if (!words.length) return;
    tip.replaceChildren(Q.element('div', {}, words[0]), words[1] ? Q.element('div', { class: 'dim' }, words[1]) : '');
    tip.style.left = Math.min(ev.clientX + 14, window.innerWidth - tip.offsetWidth - 8) + 'px';
    tip.style.top = (ev.clientY + 18 + tip.offsetHeight > window.innerHeight ? ev.clientY - tip.offsetHeight - 12 : ev.clientY + 18) + 'px';
  });
  canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
  canvas.addEventListener('pointerdown', (ev) => {
    if (ev.button !== 0) return;
    drag = { x: ev.clientX, y: ev.clientY, sx: scroller.scrollLeft, sy: scroller.scrollTop, moved: false };
    canvas.setPointerCapture(ev.pointerId);
  });
  canvas.addEventListener('pointerup', (ev) => {
    const moved = drag && drag.moved;
    drag = null;
    if (moved) moving = false;
    if (moved || ev.button !== 0) return changed();
    const [px, py] = local(ev), q = px > Q.LEFT ? pointed(px, py) : null;
    scroller.focus({ preventScroll: true });
    if (!q || q.fold) return app.clear();
    if (q.fault) return app.fault(q.fault);
    const e = q.end && q.other >= 0 ? q.other : q.e;
    if (e >= 0) app.select(e, false);
  });
  canvas.addEventListener('wheel', (ev) => {
    if (!ev.ctrlKey && !ev.metaKey) return;
    ev.preventDefault();
    zoomTo(v.zoom * Math.exp(-ev.deltaY * 0.0022), Math.max(local(ev)[0], Q.LEFT));
  }, { passive: false });
  let resting = 0;
  scroller.addEventListener('scroll', () => {
    moving = true;
    frame(true);
    clearTimeout(resting);
    resting = setTimeout(() => {
      moving = false;
      frame();
      if (v.cursor < 0) app.panel.render();
    }, 120);
  }, { passive: true });
  let sliding = false;
  const slide = (ev) => { scroller.scrollLeft = v.line.x(app.overviewTime(ev.clientX - overview.getBoundingClientRect().left)) - (v.w - Q.LEFT) / 2; };
  overview.addEventListener('pointerdown', (ev) => { sliding = true; overview.setPointerCapture(ev.pointerId); slide(ev); });
  overview.addEventListener('pointermove', (ev) => { if (sliding) slide(ev); });
  overview.addEventListener('pointerup', () => { sliding = moving = false; changed(); });

  $('find').addEventListener('keydown', (ev) => {
    if (ev.key === 'Escape') return scroller.focus();
    const want = ev.target.value.trim().toLowerCase();
    if (ev.key !== 'Enter' || !want) return;
    const says = (e) => { const msg = m.messageOf.get(e); return (msg && msg.e0 === e ? msg.text : m.text(e)).toLowerCase().includes(want); };
    for (let k = 1; k <= m.n; k++) {
      const e = (Math.max(v.cursor, -1) + (ev.shiftKey ? m.n - k : k)) % m.n;
      if (says(e)) return app.select(e, true);
    }
    ev.target.select();
  });
  $('fit').onclick = whole;
  $('theme').onclick = () => theme(!document.documentElement.classList.contains('dark'));
  $('help-open').onclick = () => $('help').showModal();
  $('help').append(Q.element('h2', {}, 'Keys'), Q.element('table', {}, ...KEYS.map(([keys, what]) => Q.element('tr', {}, Q.element('td', {}, ...keys.split(' ').map((k) => Q.element('kbd', {}, k))), Q.element('td', {}, what)))),
    Q.element('p', {}, 'Drag or scroll to move; Ctrl and the wheel to zoom; click an arrow, a glyph or a bar to choose it. Shift and Enter in the search field go back. Times are virtual: ms since the start of the run.'),
    Q.element('form', { method: 'dialog' }, Q.element('button', {}, 'close')));
  $('keys').append(...KEYS.filter(([k]) => ['→ ←', '↓ ↑', 'm M', 'f F', 'v', 'c', '+ −', '0', '/', '?'].includes(k)).flatMap(([k, what]) => [...k.split(' ').map((x) => Q.element('kbd', {}, x)), ' ' + (k === '?' ? 'all keys' : what.replace(/:.*/, '').replace(', previous', '')) + '   ']));

  $('title').textContent = about.title;
  $('verdict').textContent = m.violation && about.verdict !== 'pass' ? about.verdict + ' ' + m.violation.invariant : about.verdict;
  $('verdict').classList.toggle('bad', !['pass', 'same', 'read', 'excused'].includes(about.verdict));
  $('summary').textContent = about.summary;
  document.title = about.title + ': ' + about.verdict;
  app.panel = Q.panel(app);
  window.quorate = { app, draw: () => { const a = performance.now(); Q.draw(v); return performance.now() - a; } };

  // Where to begin: as the address says, at the violation, or where the first leader has been found.
  v.line = Q.timeline(m, v.zoom, false, true);
  v.lanes = Q.lanes(m, v.dense);
  Q.banner(app);
  theme(window.matchMedia && matchMedia('(prefers-color-scheme: dark)').matches);
  layout();
  resize();
  window.addEventListener('resize', resize);
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has('dark')) theme(asked.get('dark') === '1');
  if (asked.has('zoom')) { v.zoom = clampZoom(Number(asked.get('zoom')) || 40); layout(); }
  if (asked.has('tab')) app.panel.show(asked.get('tab'));
  if (asked.has('e')) app.select(Math.min(m.n - 1, Number(asked.get('e')) || 0), !asked.has('t'));
  if (asked.has('t')) scroller.scrollLeft = v.line.x(Number(asked.get('t')) || 0);
  else if (!asked.has('e') && m.violation) violation();
  else if (!asked.has('e')) {
    const established = m.lanes.flatMap((l) => l.roles || []).filter((r) => r.role === 'leading').sort((a, b) => a.t - b.t)[0];
    if (established) reveal(established.e >= 0 ? established.e : 0, true);
  }
  app.panel.render();
  scroller.focus({ preventScroll: true });
  frame();
})();
