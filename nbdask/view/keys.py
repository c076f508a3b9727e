"""Scripts of the viewer's page: the scale, keys, and the address that keeps what is in sight."""

from __future__ import annotations

#: What the keys do, as the page tells it.
HELP = (
    ("+ -", "zoom"),
    ("arrows", "move; of a series other shots, and with Shift they move"),
    ("0", "the whole image"),
    ("l", "logarithmic or linear"),
    ("a", "contrast of what is in sight"),
    ("r", "resolution rings"),
    ("f", "find spots"),
    ("g", "go to ..."),
    ("n p", "next, previous shot; of several stores without shots the next, previous store"),
    ("d", "alone, side by side, difference"),
    ("space", "play a series"),
)
#: Gives both axes one scale when the frame has a size: for the whole image, once one has zoomed or
#: moved that of the visible part.  The browser does it, as the server would undo what was pressed
#: meanwhile.
FIT = """
const {inner_width: width, inner_height: height, x_range: x, y_range: y} = plot
if (!(width > 0 && height > 0)) return
const untouched = !plot.fitted
  || [x, y].every((range) => range.start == range.reset_start && range.end == range.reset_end)
const whole = Math.max(fast / width, slow / height) / 2
const reset = (range, middle, half) => {
  range.setv({reset_start: middle - half, reset_end: middle + half})
}
reset(x, (fast - 1) / 2, whole * width)
reset(y, (slow - 1) / 2, -whole * height)
plot.fitted = true
if (untouched) {
  for (const range of [x, y]) range.setv({start: range.reset_start, end: range.reset_end})
} else {
  // The numbers along the axis below change the width as one zooms, never the height.
  const middle = (x.start + x.end) / 2, half = Math.abs(y.end - y.start) / height * width / 2
  x.setv({start: middle - half, end: middle + half})
}
"""
#: Keys act where nothing is typed, and no slider has them.
SCRIPT = """
const nbdask = {
  model: (name) => {
    const page = window.Bokeh == null ? null : Bokeh.documents[0]
    return page == null ? null : page.get_model_by_name(name)
  },
  press: (name) => {
    const find = (view) => {
      if (view.model.name == name) return view
      for (const child of view.child_views ?? []) {
        const found = find(child)
        if (found) return found
      }
    }
    const roots = Bokeh.index.roots ?? Object.values(Bokeh.index)
    for (const root of roots) {
      const view = find(root)
      if (view) {
        const at = view.shadow_el.querySelector("button, input")
        if (at.tagName == "INPUT") at.focus()
        else at.click()
      }
    }
  },
  zoom: (factor) => {
    const {x_range: x, y_range: y} = nbdask.model("plot")
    for (const range of [x, y]) {
      const middle = (range.start + range.end) / 2, half = (range.end - range.start) / 2 * factor
      range.setv({start: middle - half, end: middle + half})
    }
  },
  move: (across, down) => {
    const {x_range: x, y_range: y} = nbdask.model("plot")
    const dx = (x.end - x.start) * across, dy = (y.start - y.end) * down
    x.setv({start: x.start + dx, end: x.end + dx})
    y.setv({start: y.start + dy, end: y.end + dy})
  },
  whole: () => {
    const {x_range: x, y_range: y} = nbdask.model("plot")
    for (const range of [x, y]) range.setv({start: range.reset_start, end: range.reset_end})
  },
  cycle: (name) => {
    const group = nbdask.model(name)
    group.active = (group.active + 1) % group.labels.length
  },
}
document.addEventListener("keydown", (event) => {
  const at = event.composedPath()[0]
  if (event.ctrlKey || event.altKey || event.metaKey || at.closest == null
      || at.closest("input, select, textarea, button, .noUi-handle") != null) return
  if (nbdask.model("plot") == null) return
  const shot = nbdask.model("shot"), series = shot != null
  const step = {ArrowRight: 1, n: 1, ArrowLeft: -1, p: -1}[event.key]
  const moves = {
    ArrowRight: [0.1, 0], ArrowLeft: [-0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1],
  }[event.key]
  const acts = {
    "+": () => nbdask.zoom(0.5), "=": () => nbdask.zoom(0.5), "-": () => nbdask.zoom(2),
    0: nbdask.whole, l: () => nbdask.cycle("scale"), a: () => nbdask.press("auto"),
    f: () => nbdask.press("find spots"), g: () => nbdask.press("goto"),
    r: () => {
      const rings = nbdask.model("switch")
      rings.active = rings.active.length ? [] : [0]
    },
    d: () => nbdask.model("mode") != null && nbdask.cycle("mode"),
    n: () => nbdask.press("next store"), p: () => nbdask.press("previous store"),
  }[event.key]
  if (series && step != null && !event.shiftKey) {
    shot.value = Math.min(shot.end, Math.max(shot.start, shot.value + step))
  } else if (series && event.key == " ") {
    const play = nbdask.model("play")
    play.active = !play.active
  } else if (moves != null) nbdask.move(...moves)
  else if (acts != null) acts()
  else return
  event.preventDefault()
})
{
  // The address keeps what is in sight; a part of it that is wrong or missing changes nothing.
  const digits = (x) => Number(x.toPrecision(7))
  const sight = () => {
    const {x_range: x, y_range: y} = nbdask.model("plot")
    const scale = nbdask.model("scale")
    const slider = nbdask.model(scale.active ? "linear contrast" : "contrast")
    const parts = {
      fast: [x.start, x.end], slow: [y.end, y.start], contrast: slider.value,
    }
    const words = Object.entries(parts).map(([k, v]) => `${k}=${v.map(digits).join(":")}`)
    words.push(`scale=${scale.labels[scale.active]}`, `show=${nbdask.model("kind").value}`)
    if (nbdask.model("switch").active.length) words.push("rings=1")
    return "#" + words.join("&")
  }
  const given = new URLSearchParams(window.location.hash.slice(1))
  const pair = (name) => {
    const ends = (given.get(name) ?? "").split(":").map(Number)
    return ends.length == 2 && ends.every(Number.isFinite) && ends[0] < ends[1] ? ends : null
  }
  const apply = () => {
    const {x_range: x, y_range: y} = nbdask.model("plot")
    const fast = pair("fast"), slow = pair("slow"), contrast = pair("contrast")
    const scale = nbdask.model("scale"), kind = nbdask.model("kind")
    if (given.get("scale") == "linear") scale.active = 1
    if (kind.options.some(([name]) => name == given.get("show"))) kind.value = given.get("show")
    if (given.has("rings")) nbdask.model("switch").active = [0]
    if (contrast != null) {
      nbdask.model(scale.active ? "linear contrast" : "contrast").value = contrast
    }
    if (fast != null && slow != null) {
      y.setv({start: slow[1], end: slow[0]})
      x.setv({start: fast[0], end: fast[1]})
    }
  }
  let before = null, applied = false
  window.setInterval(() => {
    const plot = nbdask.model("plot")
    if (plot == null || !(plot.inner_width > 0)) return
    const {x_range: x, y_range: y} = plot
    const across = (x.end - x.start) / plot.inner_width
    const fitted = Math.abs(across / (y.start - y.end) * plot.inner_height - 1) < 0.01
    if (!applied) {
      if (!fitted) return
      applied = true
      apply()
      // By now the plot covers the picture, which a narrow page would show among its controls.
      document.getElementById("first")?.remove()
      return
    }
    const now = sight()
    if (now != before && before != null) {
      const {pathname, search} = window.location
      window.history.replaceState(null, "", pathname + search + now)
    }
    before = now
  }, 300)
}
"""
