// A headless Chromium over its debugging pipe: nothing but Node and `chromium` is needed.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars', '--remote-debugging-pipe'];

export async function open(url, { width = 1600, height = 1000, scale = 1 } = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'quorate-picture-'));
  const child = spawn(process.env.CHROMIUM || 'chromium', [...FLAGS, `--user-data-dir=${profile}`, `--window-size=${width},${height}`], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const [, , , to, from] = child.stdio, waiting = new Map(), listeners = [];
  let next = 1, rest = '';
  from.on('data', (data) => {
    const parts = (rest + data).split('\0');
    rest = parts.pop();
    for (const part of parts) {
      const message = JSON.parse(part), done = waiting.get(message.id);
      waiting.delete(message.id);
      if (done) done(message); else listeners.forEach((l) => l(message));
    }
  });
  const raw = (method, params, sessionId) => new Promise((resolve, reject) => {
    const id = next++;
    waiting.set(id, (m) => (m.error ? reject(new Error(`${method}: ${m.error.message}`)) : resolve(m.result)));
    to.write(JSON.stringify({ id, method, params, sessionId }) + '\0');
  });
  const { targetId } = await raw('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await raw('Target.attachToTarget', { targetId, flatten: true });
  const send = (method, params = {}) => raw(method, params, sessionId);
  const page = { problems: [], send };
  listeners.push((m) => {
    if (m.method === 'Runtime.exceptionThrown') page.problems.push(m.params.exceptionDetails.exception?.description || m.params.exceptionDetails.text);
    if (m.method === 'Network.requestWillBeSent' && !/^(file|data|blob):/.test(m.params.request.url)) page.problems.push('asks for ' + m.params.request.url);
  });
  for (const domain of ['Page', 'Runtime', 'Network']) await send(domain + '.enable');
  await send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: scale, mobile: false });
  page.eval = async (expression) => {
    const { result, exceptionDetails } = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description || exceptionDetails.text);
    return result.value;
  };
  page.rest = () => page.eval('new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 30))');
  page.key = async (key, shift) => {
    const text = key.length === 1 ? key : undefined;
    await send('Input.dispatchKeyEvent', { type: 'keyDown', key, text, modifiers: shift ? 8 : 0 });
    await send('Input.dispatchKeyEvent', { type: 'keyUp', key });
    await page.rest();
  };
  page.mouse = (type, x, y) => send('Input.dispatchMouseEvent', { type, x, y, button: type === 'mouseMoved' ? 'none' : 'left', clickCount: 1 });
  page.click = async (x, y) => {
    for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased']) await page.mouse(type, x, y);
    await page.rest();
  };
  page.screenshot = async () => Buffer.from((await send('Page.captureScreenshot', { format: 'png' })).data, 'base64');
  page.close = async () => {
    const ended = new Promise((done) => child.once('exit', done));
    await raw('Browser.close').catch(() => child.kill());
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  await send('Page.navigate', { url });
  for (let k = 0; k < 300 && !(await page.eval('!!window.quorate')); k++) await new Promise((done) => setTimeout(done, 100));
  await page.rest();
  return page;
}
