"""One plot as SVG, by hand: a curve over time against the left axis, and another against the right one."""

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 80, 40, 50


def two_curves(title, x_label, left, right):
    """`left` and `right`: a label and points (x, y). Returns the text of an SVG file."""
    x_max = max(x for _, points in (left, right) for x, _ in points) or 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui,sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="600">{title}</text>',
    ]
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    to_x = lambda x: LEFT + x / x_max * plot_width  # noqa: E731
    for label, points, side, colour in ((*left, "left", "#1565c0"), (*right, "right", "#b0772a")):
        y_max = _round_up(max(y for _, y in points) or 1)
        to_y = lambda y, y_max=y_max: TOP + plot_height - y / y_max * plot_height  # noqa: E731
        edge = LEFT if side == "left" else WIDTH - RIGHT
        anchor, shift = ("end", -6) if side == "left" else ("start", 6)
        for step in range(5):
            value = y_max * step / 4
            if side == "left":
                parts.append(f'<path d="M{LEFT} {to_y(value):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
            parts.append(f'<text x="{edge + shift}" y="{to_y(value) + 4:.1f}" text-anchor="{anchor}" fill="{colour}">{_short(value)}</text>')
        line = " ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in _thinned(points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        parts.append(f'<text x="{edge}" y="{TOP - 6}" text-anchor="{"start" if side == "left" else "end"}" fill="{colour}">{label}</text>')
    for step in range(6):
        value = x_max * step / 5
        parts.append(f'<text x="{to_x(value):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#555">{_short(value)}</text>')
    parts.append(f'<text x="{LEFT + plot_width / 2}" y="{HEIGHT - 12}" text-anchor="middle" fill="#555">{x_label}</text></svg>')
    return "\n".join(parts) + "\n"


def _thinned(points, most=600):
    step = max(1, len(points) // most)
    return points[::step] + points[-1:]


def _round_up(value):
    size = 1.0
    while size * 10 <= value:
        size *= 10
    return next(size * factor for factor in (1, 2, 4, 5, 8, 10) if size * factor >= value)


def _short(value):
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
