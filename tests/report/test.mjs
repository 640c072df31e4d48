// Opens a report in headless Chromium, uses it as a reader would, and fails if it asks the network for
// anything, writes an error to the console, or does not answer.
//
//   node test.mjs REPORT.html [FOLDER FOR SCREENSHOTS]
//   node test.mjs --open REPORT.html      only opens it, and goes through its grid points and methods
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const args = process.argv.slice(2);
const openOnly = args[0] === '--open';
const [file, pictures] = openOnly ? args.slice(1) : args;
const home = mkdtempSync(join(tmpdir(), 'report-'));
const browser = await chromium.launchPersistentContext(home, {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true, viewport: { width: 1180, height: 1000 }, offline: true,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await browser.newPage();
  const errors = [], requests = [];
  page.on('console', m => { if (m.type() === 'error' || m.type() === 'warning') errors.push(m.text()); });
  page.on('pageerror', e => errors.push(String(e)));
  page.on('request', r => { if (!r.url().startsWith('data:')) requests.push(r.url()); });
  const url = pathToFileURL(resolve(file)).href;
  await page.goto(url);
  await page.waitForSelector('body[data-ready=yes]', { timeout: 60000 });
  const shot = async name => { if (pictures) await page.screenshot({ path: join(pictures, name), fullPage: name.startsWith('page') }); };
  // Vega listens on the whole drawing, so the mouse goes to a place, not to an element.
  const middle = async at => { const b = await at.boundingBox(); return [b.x + b.width / 2, b.y + b.height / 2]; };
  const click = async at => { await at.scrollIntoViewIfNeeded(); await page.mouse.click(...await middle(at)); };
  await shot('page.png');
  if (openOnly) {
    for (const control of ['point', 'method']) {
      const values = await page.evaluate(id => {
        const e = document.getElementById(id);
        return !e ? [] : e.options ? [...e.options].map(o => o.value) : [...Array(Number(e.max) + 1).keys()].map(String);
      }, control);
      for (const v of values) {
        await page.evaluate(([id, v]) => {
          const e = document.getElementById(id);
          e.value = v;
          e.dispatchEvent(new Event(id === 'point' ? 'input' : 'change'));
        }, [control, v]);
        await page.waitForTimeout(150);
      }
    }
    assert.ok(await page.locator('svg.marks').count() >= 4, 'the figures are there');
    if (pictures) await page.screenshot({ path: join(pictures, 'open.png'), fullPage: true });
    assert.deepEqual(requests, [url], 'the report asks for nothing but itself');
    assert.deepEqual(errors, [], 'no errors in the console');
    console.log('report: opens; no request, no error');
  } else await use();

  async function use() {
    const figures = ['curves', 'pathsx', 'pathsy', 'updates', 'starts', 'waterfall'];
    for (const id of figures) assert.equal(await page.locator(`#${id} svg.marks`).count(), 1, `figure ${id} is missing`);

    // A click on a legend entry leaves that method and hides the others.
    const visible = id => page.$$eval(`#${id} svg.marks .mark-line.role-mark path`, all => all.map(p => Number(p.getAttribute('opacity') ?? 1)));
    const before = await visible('curves');
    assert.ok(before.length >= 4 && before.every(o => o > 0.9), `at first every line is seen: ${before}`);
    const legend = page.locator('#curves svg.marks .role-legend-symbol path');
    assert.ok(await legend.count() >= 2, 'the legend has an entry for each method');
    await click(legend.nth(1));
    await page.waitForFunction(() => [...document.querySelectorAll('#curves svg.marks .mark-line.role-mark path')].some(p => Number(p.getAttribute('opacity') ?? 1) < 0.5));
    const after = await visible('curves');
    assert.equal(after.filter(o => o > 0.9).length, 2, `one method is left in both panels: ${after}`);
    await shot('legend.png');
    await page.locator('#curves svg.marks').dblclick({ position: { x: 400, y: 100 } });
    await page.waitForFunction(() => [...document.querySelectorAll('#curves svg.marks .mark-line.role-mark path')].every(p => Number(p.getAttribute('opacity') ?? 1) > 0.9));

    // The tooltip of a sample says what it is.
    await page.selectOption('#method', '1');
    await page.waitForFunction(() => document.querySelectorAll('#starts svg.marks .mark-symbol.role-mark path').length > 10);
    const dot = page.locator('#starts svg.marks .mark-symbol.role-mark path').nth(3);
    await dot.scrollIntoViewIfNeeded();
    await page.evaluate(() => window.scrollBy(0, 100));
    await page.mouse.move(...await middle(dot));
    const tip = page.locator('#vg-tooltip-element.visible');
    await tip.waitFor();
    const words = await tip.innerText();
    for (const w of ['start', 'starts at', 'status', 'loss', 'iterations']) assert.ok(words.includes(w), `the tooltip lacks ${w}: ${words}`);
    const label = await page.evaluate(() => document.querySelector('#method').selectedOptions[0].textContent);
    assert.ok(words.includes(label), `the tooltip is of method ${label}: ${words}`);
    await shot('tooltip.png');

    // The slider changes the grid point of the figures below it.
    const where = await page.locator('#where').innerText();
    const title = await page.locator('#starts svg.marks').innerHTML();
    await page.locator('#point').fill('0');
    await page.waitForFunction(old => document.querySelector('#starts svg.marks').innerHTML !== old, title);
    assert.notEqual(await page.locator('#where').innerText(), where, 'the slider names another grid point');
    await page.selectOption('#method', '-1');
    await page.waitForTimeout(300);
    await shot('page-first.png');

    // The table sorts.
    const column = () => page.$$eval('#summary tbody tr td:nth-child(2)', all => all.map(c => Number(c.dataset.key)));
    await page.locator('#summary th:nth-child(2) button').click();
    const up = await column();
    assert.deepEqual(up, [...up].sort((a, b) => a - b), 'ascending');
    await page.locator('#summary th:nth-child(2) button').click();
    const down = await column();
    assert.deepEqual(down, [...up].sort((a, b) => b - a), 'descending');

    assert.deepEqual(requests, [url], 'the report asks for nothing but itself');
    assert.deepEqual(errors, [], 'no errors in the console');
    console.log(`report: ${figures.length} figures, legend, tooltip, slider and table work; no request, no error`);
  }
} finally {
  await browser.close();
  rmSync(home, { recursive: true, force: true });
}
