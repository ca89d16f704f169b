// Opens pages of `quorate sim run --html` in a headless Chromium, uses keyboard and mouse, and says what does not work.
//   node tests/picture/check.mjs page.html …            exit code 1 when something does not
//   node tests/picture/check.mjs --shot out.png page.html#zoom=3     only a screenshot
//   node tests/picture/check.mjs --scroll page.html …   frames a second while it scrolls
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { open } from './browser.mjs';

const url = (name) => { const [file, hash] = name.split('#'); return 'file://' + resolve(file) + (hash ? '#' + hash : ''); };
let failed = 0;
function expect(what, holds, detail) {
  if (!holds) failed++;
  console.log((holds ? '  ok    ' : '  WRONG ') + what + (detail === undefined ? '' : ': ' + detail));
}

async function check(name) {
  const page = await open(url(name));
  const state = () => page.eval('(() => { const v = quorate.app.v; return { cursor: v.cursor, zoom: v.zoom, cone: v.cone && v.cone.size, zxid: v.zxid, fault: v.fault && v.fault.id, pings: v.pings, folded: v.folded, dense: v.dense, left: document.getElementById("scroller").scrollLeft }; })()');
  const run = await page.eval('(() => { const m = quorate.app.m; return { facts: m.n, messages: m.messages.length, lanes: m.lanes.length, faults: m.faults.filter((f) => f.id).length, violation: m.violation && { first: m.violation.first, second: m.violation.second } }; })()');
  console.log(name, JSON.stringify(run));
  if (run.violation) {
    const at = await state();
    expect('it opens at the violation', at.cursor === run.violation.first, at.cursor);
    await page.key('2');
    expect('2 goes to the contradicting fact', run.violation.second === null || (await state()).cursor === run.violation.second);
    await page.key('v');
    expect('v comes back', (await state()).cursor === run.violation.first);
  }
  await page.key('Escape');
  expect('Escape chooses nothing', (await state()).cursor === -1 && (await state()).cone === null);
  await page.key('ArrowRight');
  const one = await state();
  await page.key('ArrowRight');
  const two = await state();
  expect('the right arrow steps on by effect', one.cursor >= 0 && two.cursor > one.cursor, `${one.cursor}, ${two.cursor}`);
  expect('what is chosen has a cone', two.cone > 0 && two.cone <= run.facts, two.cone);
  await page.key('ArrowLeft');
  expect('the left arrow steps back', (await state()).cursor === one.cursor);
  await page.key('m');
  expect('m steps to a message', await page.eval('!!quorate.app.m.messageOf.get(quorate.app.v.cursor)'));
  await page.key('Home');
  await page.key('Escape');
  for (let k = 0; k < Math.min(run.faults, 3); k++) await page.key('f');
  if (run.faults) expect('f steps by fault', await page.eval('quorate.app.m.kindName(quorate.app.v.cursor) === "fault"'));
  // A fault of the whole world stands in no lane and has no cone.
  await page.key('ArrowRight');
  const flips = { c: 'cone', g: 'pings', i: 'folded', h: 'dense', '+': 'zoom' };
  for (const [key, what] of Object.entries(flips)) {
    const before = (await state())[what];
    await page.key(key);
    expect(`${key} changes ${what}`, (await state())[what] !== before);
    await page.key(key === '+' ? '-' : key);
  }
  await page.key('Escape');
  const target = await page.eval(`(() => {
    const v = quorate.app.v, box = document.getElementById('view').getBoundingClientRect();
    const arrows = Q.draw(v).filter((h) => h.msg && !h.msg.lost && h.x0 > Q.LEFT + 30 && h.x1 < v.w - 20 && Math.min(h.y0, h.y1) > v.top + 20 && Math.max(h.y0, h.y1) < v.h - 20);
    const h = arrows[Math.floor(arrows.length / 2)];
    return h && { x: box.left + h.x0 * 0.4 + h.x1 * 0.6, y: box.top + h.y0 * 0.4 + h.y1 * 0.6 };
  })()`);
  if (target) {
    await page.mouse('mouseMoved', target.x, target.y);
    await page.rest();
    expect('the pointer tells what it is at', await page.eval('!document.getElementById("tip").hidden'));
    await page.click(target.x, target.y);
    expect('a click chooses', (await state()).cursor >= 0);
  }
  await page.eval('document.getElementById("tab-log").click()');
  await page.rest();
  const rows = await page.eval('document.querySelectorAll("#pane tr.click").length');
  if (rows) {
    await page.eval('document.querySelector("#pane tr.click").click()');
    await page.rest();
    expect('a row of the log leaves one zxid in colour', (await state()).zxid > 0);
  }
  await page.eval('document.getElementById("tab-faults").click()');
  await page.rest();
  expect('every fault has a row', (await page.eval('document.querySelectorAll(".fault-row").length')) === run.faults, run.faults);
  if (run.faults && (await page.eval('!!quorate.app.m.about.scenario'))) {
    await page.eval('document.querySelector(".fault-row input").click()');
    await page.rest();
    expect('one can be left out', await page.eval('!!document.getElementById("without")'));
  }
  await page.key('/');
  await page.eval('document.getElementById("find").value = "durable"');
  await page.key('Enter');
  expect('find finds', await page.eval('quorate.app.m.text(quorate.app.v.cursor).includes("durable")'));
  await page.eval('document.getElementById("scroller").focus()');
  await page.key('0');
  expect('0 shows the whole run', (await state()).left === 0);
  expect('no exception, nothing asked of the network', page.problems.length === 0, page.problems.join('; ') || undefined);
  await page.close();
}

// Scrolls by so many pixels a frame; `then` is done at the end, while the view still counts as moving.
const scroll = (dx, dy, frames, then, from = dx < 0 ? 9000 : 2000) => `new Promise((done) => {
  const s = document.getElementById('scroller'), times = [];
  s.scrollLeft = ${from}; s.scrollTop = 0;
  setTimeout(() => {
    let last = 0;
    const step = (t) => {
      if (last) times.push(t - last);
      last = t;
      s.scrollLeft += ${dx}; s.scrollTop += ${dy};
      if (times.length < ${frames}) requestAnimationFrame(step); else requestAnimationFrame(() => requestAnimationFrame(() => { ${then} }));
    };
    requestAnimationFrame(step);
  }, 400);
})`;

// What was moved looks like what is drawn anew, but for words, which are left out here, and for seams of hatches.
async function moving(name, scale) {
  const page = await open(url(name), { scale });
  await page.rest();
  await page.eval('quorate.app.v.mute = true; quorate.app.v.parts = 0;');
  // Low lanes are moved however fast they are drawn.
  if (!(await page.eval('quorate.app.v.dense'))) await page.key('h');
  // Where arrows grow many or few on the way all of them change their shade: at one place of three they do not.
  let differ = 1, parts = 0;
  for (const from of [1000, 4000, 8000]) {
    const [n, moved] = await page.eval(scroll(13, 5, 25, `
    const canvas = document.getElementById('view'), shot = () => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const a = shot(), parts = quorate.app.v.parts;
    setTimeout(() => {
      const b = shot();
      let n = 0;
      for (let i = 0; i < a.length; i += 4) if (Math.abs(a[i] - b[i]) + Math.abs(a[i + 1] - b[i + 1]) + Math.abs(a[i + 2] - b[i + 2]) > 24) n++;
      done([n / (a.length / 4), parts]);
    }, 500);`, from));
    [differ, parts] = [Math.min(differ, n), moved];
  }
  expect(`a view that moves is moved, at ${scale} pixels a pixel`, parts > 10, parts);
  expect('and shows what one that stands shows', differ < 0.06, `${(100 * differ).toFixed(2)} % of the pixels differ`);
  expect('no exception', page.problems.length === 0, page.problems.join('; ') || undefined);
  await page.close();
}

async function frames(name) {
  const page = await open(url(name));
  await page.rest();
  for (const [what, dx, dy] of [['right', 24, 0], ['left', -24, 0], ['down', 0, 10], ['both', 17, 7]]) {
    const told = await page.eval(scroll(dx, dy, 150, 'const all = times.sort((a, b) => a - b); done({ rate: 1000 * all.length / all.reduce((a, b) => a + b, 0), late: all.filter((t) => t > 25).length })'));
    console.log(`${name} ${what}: ${told.rate.toFixed(1)} frames a second, ${told.late} of 150 late`);
  }
  await page.close();
}

const names = process.argv.slice(2);
if (names[0] === '--scroll') {
  for (const name of names.slice(1)) await frames(name);
} else if (names[0] === '--shot') {
  const page = await open(url(names[2]));
  await page.rest();
  writeFileSync(names[1], await page.screenshot());
  await page.close();
} else {
  for (const name of names) {
    await check(name);
    for (const scale of [1, 1.25]) await moving(name, scale);
  }
  if (!names.length) console.log('which pages?');
}
process.exit(failed || !names.length ? 1 : 0);
