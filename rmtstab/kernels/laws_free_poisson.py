"""Loops of the compound free Poisson laws: generalised Marchenko–Pastur, descent–ascent.

Their Stieltjes transform is ``-1/u``, where u in the upper half-plane solves
``psi(u) = u + sum C_j / (u - p_j) + constant = z`` with positive residues C. From an edge
(u_e, x_e), a zero of psi', the equation reads ``s² sum c_j / (s + d_j) = x - x_e`` with
``s = u - u_e``, ``d_j = u_e - p_j``, ``c_j = C_j / d_j²``: nothing cancels near the edge.
Derived in docs/laws/generalized_marchenko_pastur.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmtstab.kernels._jit import jit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ComplexArray = NDArray[np.complex128]
PI = math.pi


class Curve(NamedTuple):
    """Everything the loops need; edges come in pairs, J is the number of poles."""

    edge: FloatArray  # (2B,) edges, rounded
    edge_low: FloatArray  # (2B,) what rounding lost
    root: FloatArray  # (2B,) u at each edge
    c: FloatArray  # (2B, J)
    d: FloatArray  # (2B, J)
    pole: FloatArray  # (J,)
    rate: FloatArray  # (J,) kappa_j = C_j / p_j²
    mass: FloatArray  # (B,) of each interval, times weight
    below: FloatArray  # (B + 1,) continuous mass below each interval
    start: IntArray  # (B + 1,) where the nodes of an interval start
    node_x: FloatArray  # nodes: x, u and continuous mass below within the interval
    node_re: FloatArray
    node_im: FloatArray
    node_mass: FloatArray
    weight: float  # density = weight Im(-1/u)/pi
    atom: float
    atom_at: float
    excess: float  # 1 - sum of rates


@jit()
def height(alpha: float, residue: FloatArray, pole: FloatArray) -> float:
    """Return beta with sum C/((alpha - p)² + beta²) = 1, or 0; Newton from the left."""
    y = 0.0
    for j in range(pole.size):
        y = max(y, residue[j] - (alpha - pole[j]) ** 2)
    if y == 0.0:
        y = 1e-300
    for _ in range(200):
        total = 0.0
        slope = 0.0
        for j in range(pole.size):
            part = 1.0 / ((alpha - pole[j]) ** 2 + y)
            total += residue[j] * part
            slope += residue[j] * part * part
        step = total * (total - 1.0) / slope
        y += step
        if y <= 0.0:
            return 0.0
        if abs(step) <= 1e-14 * y:
            break
    return math.sqrt(y)


@jit()
def abscissa(alpha: float, beta: float, residue: FloatArray, pole: FloatArray) -> float:
    """Return Re psi(alpha + i beta) where psi is real, by the sum that cancels less."""
    x = alpha
    size = abs(alpha)
    for j in range(pole.size):
        gap = alpha - pole[j]
        x += residue[j] / pole[j]
        part = residue[j] * gap / (gap * gap + beta * beta)
        x += part
        size += abs(residue[j] / pole[j]) + abs(part)
    if abs(x) > 1e-3 * size:
        return x
    # close to zero: u (1 - sum kappa + sum kappa u/(u - p))
    re, im = 1.0, 0.0
    for j in range(pole.size):
        gap = alpha - pole[j]
        scale = residue[j] / pole[j] / (gap * gap + beta * beta)
        re += scale * gap
        im -= scale * beta
    product = alpha * re - beta * im
    re, im = 1.0, 0.0
    for j in range(pole.size):
        rate = residue[j] / pole[j] / pole[j]
        re -= rate
    for j in range(pole.size):
        rate = residue[j] / pole[j] / pole[j]
        gap = alpha - pole[j]
        scale = rate / (gap * gap + beta * beta)
        re += scale * (alpha * gap + beta * beta)
        im += scale * (beta * gap - alpha * beta)
    small = alpha * re - beta * im
    return small if math.hypot(alpha, beta) < 0.1 * np.max(np.abs(pole)) else product


@jit()
def trace(alpha: FloatArray, residue: FloatArray, pole: FloatArray, out: FloatArray) -> None:
    """Fill (beta, x) for each real part alpha inside an interval of the support."""
    for i in range(alpha.size):
        beta = height(alpha[i], residue, pole)
        out[i, 0] = beta
        out[i, 1] = abscissa(alpha[i], beta, residue, pole)


@jit()
def _newton(
    c: FloatArray, d: FloatArray, t_re: float, t_im: float, a: float, b: float
) -> tuple[float, float, bool]:
    """Solve s² sum c/(s + d) = t from s = a + ib; return s and whether it settled."""
    for step_number in range(40):
        g_re, g_im, k_re, k_im = 0.0, 0.0, 0.0, 0.0
        for j in range(c.size):
            e = a + d[j]
            size = 1.0 / (e * e + b * b)
            r_re, r_im = e * size, -b * size
            g_re += c[j] * r_re
            g_im += c[j] * r_im
            k_re += c[j] * (r_re * r_re - r_im * r_im)
            k_im += c[j] * 2.0 * r_re * r_im
        # h = s² g - t,  h' = 2 s g - s² k
        q_re, q_im = a * a - b * b, 2.0 * a * b
        h_re = q_re * g_re - q_im * g_im - t_re
        h_im = q_re * g_im + q_im * g_re - t_im
        s_re = 2.0 * (a * g_re - b * g_im) - (q_re * k_re - q_im * k_im)
        s_im = 2.0 * (a * g_im + b * g_re) - (q_re * k_im + q_im * k_re)
        size = s_re * s_re + s_im * s_im
        if size == 0.0 or size != size:
            return a, b, False
        x_re = (h_re * s_re + h_im * s_im) / size
        x_im = (h_im * s_re - h_re * s_im) / size
        if b - x_im <= 0.0 and b > 0.0:  # stay in the upper half-plane
            scale = 0.5 * b / x_im
            x_re, x_im = x_re * scale, x_im * scale
        a, b = a - x_re, b - x_im
        moved = x_re * x_re + x_im * x_im
        size = a * a + b * b
        if moved <= 1e-31 * size or (moved <= 1e-26 * size and step_number > 12):
            return a, b, True
    return a, b, False


@jit()
def _locate(k: int, t: float, side: int, curve: Curve) -> tuple[float, float]:
    """Return s = u - u_e at distance t > 0 inside the edge ``2k + side``."""
    e = 2 * k + side
    sign = 1.0 - 2.0 * side
    x = curve.edge[e] + sign * t
    first, last = curve.start[k], curve.start[k + 1] - 1
    low, high = first, last
    while high - low > 1:
        half = (low + high) // 2
        if curve.node_x[half] <= x:
            low = half
        else:
            high = half
    base = curve.root[e]
    span = curve.node_x[high] - curve.node_x[low]
    part = min(max((x - curve.node_x[low]) / span, 0.0), 1.0) if span > 0.0 else 0.5
    a = curve.node_re[low] + part * (curve.node_re[high] - curve.node_re[low]) - base
    b = curve.node_im[low] + part * (curve.node_im[high] - curve.node_im[low])
    if (side == 0 and low == first) or (side == 1 and high == last):
        near = high if side == 0 else low
        reach = abs(curve.node_x[near] - curve.edge[e])
        part = min(math.sqrt(t / reach), 1.0) if reach > 0.0 else 1.0
        a = (curve.node_re[near] - base) * part * part
        b = curve.node_im[near] * part
    c, d = curve.c[e], curve.d[e]
    re, im, settled = _newton(c, d, sign * t, 0.0, a, b)
    if settled and im > 0.0:
        return re, im
    # x is increasing along the curve (alpha, beta(alpha)): bisect, then polish
    left, right = curve.node_re[low], curve.node_re[high]
    residue = c * d * d
    shift = curve.atom_at
    middle, beta = 0.5 * (left + right), b
    for _ in range(60):
        middle = 0.5 * (left + right)
        beta = height(middle, residue, curve.pole)
        value = abscissa(middle, beta, residue, curve.pole) + shift
        if value - curve.edge[e] < sign * t:
            left = middle
        else:
            right = middle
    re, im, settled = _newton(c, d, sign * t, 0.0, middle - base, max(beta, 1e-300))
    if settled and im > 0.0:
        return re, im
    return middle - base, beta


@jit()
def _interval(x: float, curve: Curve) -> int:
    """Return k if x lies inside interval k, else -1 - (number of intervals below x)."""
    for k in range(curve.mass.size):
        if (x - curve.edge[2 * k]) - curve.edge_low[2 * k] <= 0.0:
            return -1 - k
        if (curve.edge[2 * k + 1] - x) + curve.edge_low[2 * k + 1] > 0.0:
            return k
    return -1 - curve.mass.size


@jit()
def _place(x: float, k: int, curve: Curve) -> tuple[float, int]:
    """Return the distance from the nearer edge of interval k, and its side."""
    from_left = (x - curve.edge[2 * k]) - curve.edge_low[2 * k]
    from_right = (curve.edge[2 * k + 1] - x) + curve.edge_low[2 * k + 1]
    if from_left <= from_right:
        return from_left, 0
    return from_right, 1


@jit()
def density(x: FloatArray, curve: Curve, out: FloatArray) -> None:
    """Fill the density of the continuous part."""
    for i in range(x.size):
        if x[i] != x[i]:
            out[i] = x[i]
            continue
        k = _interval(x[i], curve)
        if k < 0:
            out[i] = 0.0
            continue
        t, side = _place(x[i], k, curve)
        a, b = _locate(k, t, side, curve)
        a += curve.root[2 * k + side]
        out[i] = curve.weight * b / (PI * (a * a + b * b))


@jit()
def _atan_rest(y: float) -> float:
    """Return atan(y) - y for |y| < 0.3, with its own relative accuracy."""
    square, power, total = y * y, y, 0.0
    for k in range(1, 16):
        power *= -square
        total += power / (2 * k + 1)
    return total


@jit()
def _winding(k: int, side: int, a: float, b: float, curve: Curve) -> float:
    """Return the mass between edge ``2k + side`` and the point s = a + ib, in closed form.

    Im psi = 0, that is sum C/|u - p|² = 1, is used to take b/p out of arg u, p the pole
    next to u (``home`` is its inverse): what is left has the size of the mass, however
    narrow the interval.
    """
    e = 2 * k + side
    root = curve.root[e]
    re = root + a
    near, distance = 0, math.inf
    for j in range(curve.pole.size):
        gap = a + curve.d[e, j]
        if gap * gap + b * b < distance:
            near, distance = j, gap * gap + b * b
    home = curve.pole[near]
    home = 1.0 / home if distance < 0.25 * home * home else 0.0  # else nothing cancels
    y = b / re if re * root > 0.0 else math.inf
    if abs(y) < 0.3 and home != 0.0:
        total = _atan_rest(y) - y * home * (a + curve.d[e, near])
    else:  # where root is 0 the rates sum to 1, and arg u drops out
        total = math.atan2(b, re) - (PI if root < 0.0 else 0.0) - b * home
    for j in range(curve.pole.size):
        p = curve.pole[j]
        gap = a + curve.d[e, j]
        # arg(u - p) - arg(u), which is small where u is far from both
        turn = math.atan2(p * b, re * gap + b * b)
        if root != 0.0 and (curve.d[e, j] < 0.0) != (root < 0.0):
            turn -= math.copysign(PI, p)
        elif root == 0.0 and p > 0.0:
            turn -= PI
        total += curve.rate[j] * (turn - p * (1.0 - p * home) * b / (gap * gap + b * b))
    return float(curve.weight * abs(total) / PI)


@jit()
def _path(
    k: int, side: int, a: float, b: float, curve: Curve, node: FloatArray, gauss: FloatArray
) -> float:
    """Return the same mass as the integral of -psi'(u)/u from the edge: exact when small."""
    e = 2 * k + side
    root = curve.root[e]
    pole_far = abs(root) > 2.0 * math.sqrt(a * a + b * b)
    total = 0.0
    for m in range(node.size):
        s_re, s_im = a * node[m], b * node[m]
        f_re, f_im = 0.0, 0.0
        for j in range(curve.pole.size):
            gap = s_re + curve.d[e, j]
            size = 1.0 / (gap * gap + s_im * s_im)
            r_re, r_im = gap * size, -s_im * size
            if pole_far:  # c (s + 2d) / (s + d)²; the factor s comes below
                q_re, q_im = gap + curve.d[e, j], s_im
                weight = curve.c[e, j]
            else:  # kappa (2p - u) / (u - p)²
                q_re, q_im = curve.pole[j] - gap, -s_im
                weight = curve.rate[j]
            w_re, w_im = r_re * r_re - r_im * r_im, 2.0 * r_re * r_im
            f_re += weight * (q_re * w_re - q_im * w_im)
            f_im += weight * (q_re * w_im + q_im * w_re)
        if pole_far:
            u_re = root + s_re
            size = 1.0 / (u_re * u_re + s_im * s_im)
            g_re = (s_re * u_re + s_im * s_im) * size
            g_im = (s_im * u_re - s_re * s_im) * size
            # s/u, and s/root once more: the integral of psi'/root is real at the end
            g_re, g_im = (g_re * s_re - g_im * s_im) / root, (g_re * s_im + g_im * s_re) / root
            f_re, f_im = f_re * g_re - f_im * g_im, f_re * g_im + f_im * g_re
        total += gauss[m] * (a * f_im + b * f_re)
    if not pole_far and root != 0.0:
        turn = math.atan2(b, root + a) - (PI if root < 0.0 else 0.0)
        total -= curve.excess * turn
    return float(curve.weight * abs(total) / PI)


@jit()
def _partial(
    k: int, side: int, a: float, b: float, curve: Curve, node: FloatArray, gauss: FloatArray
) -> float:
    """Return the mass between an edge and a point of its interval."""
    e = 2 * k + side
    value = _winding(k, side, a, b, curve)
    if value > 1e-3 * curve.mass[k]:
        return value
    nearest = math.inf
    for j in range(curve.pole.size):
        nearest = min(nearest, abs(curve.d[e, j]))
    if math.sqrt(a * a + b * b) < 0.5 * nearest:
        return _path(k, side, a, b, curve, node, gauss)
    return value


@jit()
def node_masses(curve: Curve, node: FloatArray, gauss: FloatArray, out: FloatArray) -> None:
    """Fill the mass between the left edge and each node of each interval."""
    for k in range(curve.mass.size):
        first, last = curve.start[k], curve.start[k + 1] - 1
        out[first] = 0.0
        out[last] = curve.mass[k]
        for i in range(first + 1, last):
            a = curve.node_re[i] - curve.root[2 * k]
            out[i] = _partial(k, 0, a, curve.node_im[i], curve, node, gauss)


@jit()
def cumulative(
    x: FloatArray, curve: Curve, node: FloatArray, gauss: FloatArray, upper: bool, out: FloatArray
) -> None:
    """Fill the distribution function, or the survival function when ``upper``."""
    count = curve.mass.size
    whole = curve.below[count]
    for i in range(x.size):
        if x[i] != x[i]:
            out[i] = x[i]
            continue
        atom = curve.atom if (x[i] < curve.atom_at) == upper else 0.0
        k = _interval(x[i], curve)
        if k < 0:
            out[i] = atom + (whole - curve.below[-1 - k] if upper else curve.below[-1 - k])
            continue
        t, side = _place(x[i], k, curve)
        a, b = _locate(k, t, side, curve)
        part = min(_partial(k, side, a, b, curve, node, gauss), curve.mass[k])
        if (side == 0 and upper) or (side == 1 and not upper):
            part = curve.mass[k] - part
        out[i] = part + atom + (whole - curve.below[k + 1] if upper else curve.below[k])


@jit()
def _inside(
    p: float, k: int, side: int, curve: Curve, node: FloatArray, gauss: FloatArray
) -> float:
    """Return the distance from an edge at which the mass from it reaches p."""
    e = 2 * k + side
    first, last = curve.start[k], curve.start[k + 1] - 1
    width: float = (curve.edge[2 * k + 1] - curve.edge[2 * k]) + (
        curve.edge_low[2 * k + 1] - curve.edge_low[2 * k]
    )
    left, right = 0.0, width
    at_left, at_right = 0.0, curve.mass[k]
    for i in range(first + 1, last):
        m = curve.node_mass[i] if side == 0 else curve.mass[k] - curve.node_mass[i]
        t = abs(curve.node_x[i] - curve.edge[e])
        if m < p and t > left and m > at_left:
            left, at_left = t, m
        if m >= p and t < right and m > at_left:
            right, at_right = t, m
    left, right = left * (1.0 - 1e-9), min(right * (1.0 + 1e-9), width)
    if left == 0.0:
        t = right * math.pow(p / at_right, 2.0 / 3.0)
    else:
        t = left + (right - left) * min(max((p - at_left) / (at_right - at_left), 0.0), 1.0)
    t = float(min(max(t, 1e-300), right))
    for _ in range(200):
        a, b = _locate(k, min(t, width * (1.0 - 1e-16)), side, curve)
        value = _partial(k, side, a, b, curve, node, gauss)
        re = a + curve.root[e]
        slope = curve.weight * b / (PI * (re * re + b * b))
        if value < p:
            left = t
        else:
            right = t
        # Newton in logarithms: the mass is a power of t near the edge
        step = 0.0
        if slope > 0.0 and value > 0.0:
            move = math.log(p / value) * value / (slope * t)
            step = t * math.expm1(min(max(move, -50.0), 50.0))
        new: float = t + step
        if not (left < new < right) or step == 0.0:
            new = 0.5 * (left + right)
        if abs(new - t) <= 2e-16 * t or right - left <= 2e-16 * right:
            return new
        t = new
    return t


@jit()
def quantile(
    q: FloatArray, curve: Curve, node: FloatArray, gauss: FloatArray, upper: bool, out: FloatArray
) -> None:
    """Fill quantiles of probabilities in [0, 1], counted from above when ``upper``."""
    count = curve.mass.size
    whole = curve.below[count]
    for i in range(q.size):
        if q[i] != q[i]:
            out[i] = q[i]
            continue
        # continuous mass below the atom
        under = 0.0
        for k in range(count):
            if curve.edge[2 * k] < curve.atom_at:
                under = curve.below[k + 1]
        if curve.atom == 0.0:
            under = whole
        if upper:
            above = q[i]
            over = whole - under
            if above < over:
                below = whole - above
            elif above <= over + curve.atom and curve.atom > 0.0 and above < 1.0:
                out[i] = curve.atom_at
                continue
            else:
                above -= curve.atom
                below = 1.0 - q[i]
        else:
            below = q[i]
            if curve.atom > 0.0 and below > under:
                if below <= under + curve.atom:
                    out[i] = curve.atom_at
                    continue
                below -= curve.atom
                above = 1.0 - q[i]
            else:
                above = whole - below
        if below <= 0.0:
            at = curve.edge[0]
            out[i] = min(at, curve.atom_at) if curve.atom > 0.0 else at
            continue
        if above <= 0.0:
            at = curve.edge[2 * count - 1]
            out[i] = max(at, curve.atom_at) if curve.atom > 0.0 else at
            continue
        k = 0
        while k < count - 1 and below > curve.below[k + 1]:
            k += 1
        from_left = below - curve.below[k]
        from_right = above - (whole - curve.below[k + 1])
        if k == 0 and not upper:
            from_right = curve.mass[0] - from_left
        if k == count - 1 and upper:
            from_left = curve.mass[k] - from_right
        if from_left <= 0.0:
            out[i] = curve.edge[2 * k]
        elif from_right <= 0.0:
            out[i] = curve.edge[2 * k + 1]
        elif from_left <= from_right:
            t = _inside(from_left, k, 0, curve, node, gauss)
            out[i] = curve.edge[2 * k] + (curve.edge_low[2 * k] + t)
        else:
            t = _inside(from_right, k, 1, curve, node, gauss)
            out[i] = curve.edge[2 * k + 1] + (curve.edge_low[2 * k + 1] - t)


@jit()
def _real_point(x: float, below: int, curve: Curve) -> tuple[float, int]:
    """Return the real s with psi(u_e + s) = x in the gap above ``below`` intervals, and e."""
    count = curve.mass.size
    e = 2 * below if below < count else 2 * count - 1
    if 0 < below < count:
        low, high = curve.edge[2 * below - 1], curve.edge[2 * below]
        e = 2 * below - 1 if x - low < high - x else 2 * below
    t = (x - curve.edge[e]) - curve.edge_low[e]
    sign = 1.0 if e % 2 == 1 else -1.0  # direction of the gap from this edge
    if below == 0 or below == count:
        reach = abs(t) + 1.0
        for _ in range(2000):
            total = 0.0
            for j in range(curve.pole.size):
                total += curve.c[e, j] / (sign * reach + curve.d[e, j])
            if abs(reach * reach * total) >= abs(t):
                break
            reach *= 2.0
    else:
        reach = curve.root[2 * below] - curve.root[2 * below - 1]
    left, right = 0.0, reach
    g = 0.0
    for j in range(curve.pole.size):
        g += curve.c[e, j] / curve.d[e, j]
    y = min(math.sqrt(abs(t / g)), 0.5 * reach)
    for _ in range(200):
        g, k = 0.0, 0.0
        for j in range(curve.pole.size):
            r = 1.0 / (sign * y + curve.d[e, j])
            g += curve.c[e, j] * r
            k += curve.c[e, j] * r * r
        value = sign * (y * y * g - t)
        slope = sign * (2.0 * y * g - sign * y * y * k)
        if value < 0.0:
            left = y
        else:
            right = y
        new = y - value / slope if slope != 0.0 else 0.5 * (left + right)
        if not (left < new < right):
            new = 0.5 * (left + right)
        if abs(new - y) <= 2e-16 * y:
            break
        y = new
    return sign * y, e


@jit()
def _upper_point(x: float, y: float, e: int, curve: Curve) -> tuple[float, float]:
    """Return s with psi(u_e + s) = x + iy, y > 0, continued downward from large y."""
    t = (x - curve.edge[e]) - curve.edge_low[e]
    last = curve.edge.size - 1
    level = max(2.0 * (abs(x) + abs(curve.edge[0]) + abs(curve.edge[last])), 2.0 * y)
    c, d = curve.c[e], curve.d[e]
    a, b, settled = _newton(c, d, t, level, x - curve.root[e], level)
    factor = 0.25
    for _ in range(4000):
        if level <= y:
            break
        target = max(level * factor, y)
        new_a, new_b, settled = _newton(c, d, t, target, a, b)
        if settled and new_b >= target * (1.0 - 1e-9):  # Im u >= Im z singles out the root
            a, b, level = new_a, new_b, target
            factor = max(factor * factor, 1e-3)
        else:
            factor = math.sqrt(factor)
    return a, b


@jit()
def _transform(a: float, b: float, e: int, zero: float, z: complex, curve: Curve) -> complex:
    """Return m(z) = -(1/z)(zero + sum w_j u/(u - p_j)), or -1/u when the weight is 1."""
    u = complex(curve.root[e] + a, b)
    near_zero = abs(u) < 0.05 * abs(curve.root[e]) and curve.excess > 0.0
    if near_zero:  # root + s has lost digits: polish u (excess + sum kappa u/(u - p)) = z
        for _ in range(4):
            value, slope = complex(curve.excess, 0.0), complex(curve.excess, 0.0)
            for j in range(curve.pole.size):
                p = curve.pole[j]
                part = u / (u - p)
                value += curve.rate[j] * part
                slope += curve.rate[j] * part * (u - 2.0 * p) / (u - p)
            u -= (u * value - z) / slope
    if curve.weight == 1.0:
        return -1.0 / u if u != 0.0 else complex(math.inf, 0.0)
    total = complex(0.0, 0.0)
    if z == 0.0:  # u/z tends to 1/psi'(0)
        if curve.excess <= 0.0 or zero > 0.0:
            return complex(math.inf, 0.0)
        for j in range(curve.pole.size):
            total += curve.rate[j] / curve.pole[j]
        return total * (curve.weight / curve.excess)
    for j in range(curve.pole.size):
        gap = u - curve.pole[j] if near_zero else complex(a + curve.d[e, j], b)
        total += curve.rate[j] * u / gap
    return -(curve.weight * total + zero) / z


@jit()
def stieltjes(z: ComplexArray, curve: Curve, zero: float, out: ComplexArray) -> None:
    """Fill the Stieltjes transform; ``zero`` is the population's weight at zero."""
    for i in range(z.size):
        x, y = z[i].real, abs(z[i].imag)
        if x != x or y != y:
            out[i] = complex(math.nan, math.nan)
            continue
        if math.isinf(x) or math.isinf(y):
            out[i] = complex(0.0, 0.0)
            continue
        k = _interval(x, curve)
        if y > 0.0:
            e = 0
            for other in range(curve.edge.size):
                if abs(x - curve.edge[other]) < abs(x - curve.edge[e]):
                    e = other
            a, b = _upper_point(x, y, e, curve)
        elif k < 0:
            a, e = _real_point(x, -1 - k, curve)
            b = 0.0
        else:
            t, side = _place(x, k, curve)
            a, b = _locate(k, t, side, curve)
            e = 2 * k + side
        value = _transform(a, b, e, zero, complex(x - curve.atom_at, y), curve)
        if math.copysign(1.0, z[i].imag) < 0.0:
            value = value.conjugate()
        out[i] = value
