"""Naive references: plain loops and dense matrices, importing nothing of ours."""

import numpy as np

# --- laws: textbook formulas at 80 digits ----------------------------------------------


def marchenko_pastur(x, ratio, scale=1.0):
    """Return (pdf, cdf, sf) from the textbook arcsine form."""
    import mpmath as mp

    with mp.workdps(80):
        sigma = mp.mpf(float(scale))
        x, gamma = mp.mpf(float(x)) / sigma, mp.mpf(float(ratio))
        lam, y, mass = (gamma, x, mp.mpf(1)) if gamma <= 1 else (1 / gamma, x / gamma, 1 / gamma)
        low, high = (1 - mp.sqrt(lam)) ** 2, (1 + mp.sqrt(lam)) ** 2
        rounding = mp.mpf(10) ** -60
        if y - low <= rounding * low:
            below, density = mp.mpf(0), mp.inf if lam == 1 and y == 0 else mp.mpf(0)
        elif high - y <= rounding * high:
            below, density = mp.mpf(1), mp.mpf(0)
        else:
            root = mp.sqrt((high - y) * (y - low))
            density = root / (2 * mp.pi * lam * y) * mass**2
            r = mp.sqrt((high - y) / (y - low))
            total = mp.pi * lam + root - (1 + lam) * mp.atan((r**2 - 1) / (2 * r))
            if lam != 1:
                total += (1 - lam) * mp.atan((low * r**2 - high) / (2 * (1 - lam) * r))
            below = total / (2 * mp.pi * lam)
        sf = mass * (1 - below) if x >= 0 else mp.mpf(1)
        return float(density / sigma), float(1 - sf), float(sf)


# --- the two-layer ReLU CNN -------------------------------------------------------------------


def cnn_gradients(weights, patches):
    """Gradient of the CNN's output in the weights, one sample and one filter at a time."""
    n, n_patches, _ = patches.shape
    m = weights.shape[1]
    gradients = np.zeros((n, *weights.shape))
    for i in range(n):
        for j, sign in enumerate((1.0, -1.0)):
            for r in range(m):
                for p in range(n_patches):
                    if weights[j, r] @ patches[i, p] > 0:
                        gradients[i, j, r] += sign / m * patches[i, p]
    return gradients.reshape(n, -1)


def cnn_outputs(weights, patches):
    """Outputs of the CNN by loops."""
    m = weights.shape[1]
    outputs = np.zeros(len(patches))
    for i, sample in enumerate(patches):
        for j, sign in enumerate((1.0, -1.0)):
            for r in range(m):
                for patch in sample:
                    outputs[i] += sign / m * max(weights[j, r] @ patch, 0.0)
    return outputs


def tracy_widom(s, index, nodes=70, length=None, digits=40):
    """Return (pdf, cdf, sf), index 4 in the variable of Painlevé II, from Fredholm determinants.

    Gauss–Legendre discretisation (Bornemann 2010), of the Airy kernel for index 2 and of
    Ferrari and Spohn's for 1 and 4; the density is a central difference. Slow for 1 and 4.
    """
    import mpmath as mp
    import numpy as np

    with mp.workdps(digits):
        s = mp.mpf(float(s))
        half = mp.mpf(length or (16 - s if index == 2 else 2 * (12 - s) + s)) / 2
        t = np.polynomial.legendre.leggauss(nodes)[0]
        t = [mp.findroot(lambda x: mp.legendre(nodes, x), mp.mpf(v)) for v in t]
        slopes = [nodes * mp.legendre(nodes - 1, v) / (1 - v * v) for v in t]
        root = [mp.sqrt(half * 2 / ((1 - v * v) * d * d)) for v, d in zip(t, slopes, strict=True)]

        def cdf(s):
            x = [s + half * (1 + v) for v in t]
            kernel, one = mp.matrix(nodes), mp.eye(nodes)
            if index == 2:
                ai = [mp.airyai(v) for v in x]
                slope = [mp.airyai(v, derivative=1) for v in x]
            for i in range(nodes):
                for j in range(i + 1):
                    if index != 2:
                        value = mp.airyai((x[i] + x[j]) / 2) / 2
                    elif i == j:
                        value = slope[i] ** 2 - x[i] * ai[i] ** 2
                    else:
                        value = (ai[i] * slope[j] - slope[i] * ai[j]) / (x[i] - x[j])
                    kernel[i, j] = kernel[j, i] = root[i] * root[j] * value
            minus = mp.det(one - kernel)
            return minus if index in (1, 2) else (minus + mp.det(one + kernel)) / 2

        step = mp.mpf(10) ** -9
        value, below, above = cdf(s), cdf(s - step), cdf(s + step)
        return float((above - below) / (2 * step)), float(value), float(1 - value)


def tracy_widom_cdf(s, index, nodes=80):
    """Return the cdf in double precision, good to about 1e-14 absolutely; index 4 as above."""
    import numpy as np
    from scipy.special import airy

    t, weight = np.polynomial.legendre.leggauss(nodes)
    half = (24.0 - s) / 2
    x, root = s + half * (1 + t), np.sqrt(half * weight)
    kernel = np.outer(root, root) * airy((x[:, None] + x) / 2)[0] / 2
    one = np.eye(nodes)
    minus, plus = np.linalg.det(one - kernel), np.linalg.det(one + kernel)
    return {1: minus, 2: minus * plus, 4: (minus + plus) / 2}[index]


def free_poisson_root(x, rates, jumps, digits=40):
    """Return u in the upper half-plane with u + sum r p u/(u - p) = x, from all polynomial roots.

    Rates, jumps and x are taken as exact strings or numbers; a real u means no density there.
    """
    import mpmath as mp

    with mp.workdps(digits):
        x, r, p = mp.mpf(x), [mp.mpf(v) for v in rates], [mp.mpf(v) for v in jumps]

        def times(a, b):
            out = [mp.mpf(0)] * (len(a) + len(b) - 1)
            for i, v in enumerate(a):
                for j, w in enumerate(b):
                    out[i + j] += v * w
            return out

        def product(skip):
            out = [mp.mpf(1)]
            for j, v in enumerate(p):
                if j != skip:
                    out = times(out, [mp.mpf(1), -v])
            return out

        total = times([mp.mpf(1), -x], product(None))
        for j in range(len(p)):
            term = times([r[j] * p[j], mp.mpf(0)], product(j))
            total = [a + b for a, b in zip(total, [mp.mpf(0)] * (len(total) - len(term)) + term,
                                           strict=True)]  # fmt: skip
        return max(mp.polyroots(total, maxsteps=500, extraprec=200), key=lambda u: u.imag)


def free_poisson_density(x, rates, jumps, weight=1):
    """Return weight Im(-1/u)/pi."""
    import mpmath as mp

    with mp.workdps(40):
        return float(mp.mpf(weight) * (-1 / free_poisson_root(x, rates, jumps)).imag / mp.pi)


def free_poisson_mass(left, right, rates, jumps, weight=1):
    """Return the mass between two points of one interval, the left one an edge, by quadrature."""
    import mpmath as mp

    with mp.workdps(30):
        a, b = mp.mpf(float(left)), mp.mpf(float(right))

        def integrand(t):
            x = a + (b - a) * t * t
            u = free_poisson_root(x, rates, jumps, 30)
            return 2 * (b - a) * t * (-1 / u).imag

        return float(
            mp.mpf(weight) * mp.quad(integrand, [0, mp.mpf(1) / 2, 1], maxdegree=4) / mp.pi
        )


def mix_hessian(rng, dim, n_retain, n_forget, alpha):
    """Return the eigenvalues of (1 - alpha) H_R - alpha H_F for isotropic Gaussian factors."""
    import numpy as np

    retain = rng.standard_normal((dim, n_retain))
    forget = rng.standard_normal((dim, n_forget))
    mixed = (1 - alpha) * retain @ retain.T / n_retain - alpha * forget @ forget.T / n_forget
    return np.linalg.eigvalsh(mixed)


def two_poles(x, left, right, norm, poles, digits=30):
    """Return (pdf, mass below, mass above) of norm sqrt((b-x)(x-a)) / poles(x), by quadrature.

    Everything in mpmath numbers; the angle of the ellipse is the variable.
    """
    import mpmath as mp

    with mp.workdps(digits):
        x = mp.mpf(x)

        def mass(lo, hi):
            def integrand(t):
                y = left + (right - left) * mp.sin(t / 2) ** 2
                half = (right - left) / 2 * mp.sin(t)
                below = poles(y)
                return norm * half * half / below if half and below else mp.mpf(0)

            # geometric panels: a pole may sit next to either edge
            cuts = [lo + (hi - lo) * mp.mpf(k) / 8 for k in range(9)]
            return mp.quad(integrand, cuts)

        angle = 2 * mp.asin(mp.sqrt((x - left) / (right - left)))
        pdf = norm * mp.sqrt((right - x) * (x - left)) / poles(x)
        return float(pdf), float(mass(mp.mpf(0), angle)), float(mass(angle, mp.pi))


# --- dynamics: dense Kronecker operators from explicit Hessians ------------------------


def batch_covariance(n, batch, sampling):
    """Covariance matrix of the inclusion counts of one set, from the definition of the scheme."""
    import numpy as np

    p = batch / n
    if sampling == "bernoulli":
        return p * (1 - p) * np.eye(n)
    if sampling == "with_replacement":
        return batch * (np.eye(n) / n - np.ones((n, n)) / n**2)
    both = batch * (batch - 1) / (n * (n - 1)) if n > 1 else 0.0  # P(i and j are drawn)
    result = np.full((n, n), both - p * p)
    np.fill_diagonal(result, p - p * p)
    return result


def second_moment(retain, forget, step, batches, alpha, sampling, weight_decay=0.0, momentum=0.0):
    """Dense ``M ↦ E[Ĵ M Ĵᵀ]`` on raveled matrices; retain, forget are (n, d, d)."""
    import numpy as np

    d = retain.shape[1]
    mix = weight_decay * np.eye(d)
    noise = np.zeros((d * d, d * d))
    for hessians, batch, a, sign in (
        (retain, batches[0], 1 - alpha, 1),
        (forget, batches[1], alpha, -1),
    ):
        n = len(hessians)
        if n == 0:
            continue
        mix = mix + sign * a * hessians.mean(axis=0)
        c = (step * a / batch) ** 2 * batch_covariance(n, batch, sampling)
        for i in range(n):
            for j in range(n):
                noise += c[i, j] * np.kron(hessians[i], hessians[j])
    stay = np.eye(d) - step * mix
    if momentum == 0.0:
        return np.kron(stay, stay) + noise
    eye, zero = np.eye(d), np.zeros((d, d))
    stay = np.block([[stay + momentum * eye, -momentum * eye], [eye, zero]])
    lift = np.vstack([eye, zero])
    return np.kron(stay, stay) + np.kron(lift, lift) @ noise @ np.kron(lift, lift).T


def growth_factor(retain, forget, step, batches, alpha, sampling, weight_decay=0.0, momentum=0.0):
    """Spectral radius of `second_moment` on the range of the sets with weight."""
    import numpy as np

    weighted = [h for h, a in ((retain, 1 - alpha), (forget, alpha)) if a > 0 and len(h)]
    values, vectors = np.linalg.eigh(sum(h.mean(axis=0) for h in weighted))
    v = vectors[:, values > 1e-12 * values[-1]]
    retain, forget = (
        np.einsum("ia,nij,jb->nab", v, h, v) if len(h) else np.zeros((0, v.shape[1], v.shape[1]))
        for h in (retain, forget)
    )
    dense = second_moment(retain, forget, step, batches, alpha, sampling, weight_decay, momentum)
    return float(np.abs(np.linalg.eigvals(dense)).max())


def affine_second_moment(
    retain, forget, gradients, step, batches, alpha, sampling, weight_decay=0.0, momentum=0.0
):
    """Dense one-step map of the second moment of the state (w, 1), or (w, w₋, 1) with momentum.

    ``gradients`` is a pair of (n, d). The scheme's covariance of the counts is used as it is;
    every sample contributes its own affine matrix.
    """
    import numpy as np

    d = retain.shape[1]
    side = d + 1 if momentum == 0.0 else 2 * d + 1
    mean = np.zeros((side, side))
    mean[-1, -1] = 1.0
    mean[:d, :d] = (1.0 + momentum - step * weight_decay) * np.eye(d)
    if momentum:
        mean[:d, d : 2 * d] = -momentum * np.eye(d)
        mean[d : 2 * d, :d] = np.eye(d)
    noise = np.zeros((side**2, side**2))
    for hessians, slopes, batch, a in (
        (retain, gradients[0], batches[0], 1 - alpha),
        (forget, gradients[1], batches[1], -alpha),
    ):
        n = len(hessians)
        if n == 0 or a == 0:
            continue
        pieces = np.zeros((n, side, side))
        pieces[:, :d, :d], pieces[:, :d, -1] = hessians, slopes
        mean -= step * a * pieces.mean(axis=0)
        c = (step * a / batch) ** 2 * batch_covariance(n, batch, sampling)
        for i in range(n):
            for j in range(n):
                noise += c[i, j] * np.kron(pieces[i], pieces[j])
    return np.kron(mean, mean) + noise


# --- published theorems at alpha = 0, from explicit Hessians -----------------------------------


def batch_fraction(n, batch):
    """``p = (n − B)/(B (n − 1))``: 1 at B = 1, 0 at B = n."""
    return (n - batch) / (batch * (n - 1))


def stability_pencil(hessians, batch):
    """``C = ½ H ⊕ H`` and ``D = (1−p) H ⊗ H + p mean(H_i ⊗ H_i)``."""
    import numpy as np

    n, d = hessians.shape[:2]
    mean, eye, p = hessians.mean(axis=0), np.eye(d), batch_fraction(n, batch)
    c = 0.5 * (np.kron(mean, eye) + np.kron(eye, mean))
    return c, (1 - p) * np.kron(mean, mean) + p * sum(np.kron(h, h) for h in hessians) / n


def kronecker_threshold(hessians, batch):
    """``2/λ_max(C† D)``."""
    import numpy as np

    c, d = stability_pencil(hessians, batch)
    return 2.0 / np.linalg.eigvals(np.linalg.pinv(c, rcond=1e-10, hermitian=True) @ d).real.max()


def full_or_single(hessians, gradients, step, p):
    """Second moment of (w, 1) under: a single sample's step with probability p, else the full."""
    import numpy as np

    n, d = gradients.shape
    steps = np.zeros((n, d + 1, d + 1))
    steps[:, :d, :d], steps[:, :d, d] = np.eye(d) - step * hessians, -step * gradients
    steps[:, d, d] = 1.0
    full = steps.mean(axis=0)
    return (1 - p) * np.kron(full, full) + p * sum(np.kron(s, s) for s in steps) / n


def coherence(hessians):
    """``λ_max(S)/max_i λ_max(H_i)``, ``S_ij = √tr(H_i H_j)``, by loops."""
    import numpy as np

    n = len(hessians)
    s = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            s[i, j] = np.sqrt(max(np.trace(hessians[i] @ hessians[j]), 0.0))
    return np.linalg.eigvalsh(s)[-1] / max(np.linalg.eigvalsh(h)[-1] for h in hessians)


def wishart_interval(n, p, low, high, digits=60):
    """P(all eigenvalues of XᵀX in [low, high]), X real n × p, n >= p: Pfaffian of monomials."""
    import mpmath as mp

    with mp.workdps(digits + 2 * p):
        alpha = mp.mpf(n - p - 1) / 2
        half_low = mp.mpf(low) / 2

        def part(a, x):  # ∫_low^x t^(a-1) e^(-t/2) dt
            upper = mp.gammainc(a, half_low, mp.inf if x == mp.inf else x / 2)
            return mp.mpf(2) ** a * upper

        def single(i):
            return part(alpha + i + 1, mp.mpf(high) if high != mp.inf else mp.inf)

        size = p + p % 2
        matrix = mp.zeros(size)
        top = mp.mpf(high) if high != mp.inf else mp.mpf(low) + 200 + 8 * (n + p)
        nodes = _gauss(mp.sqrt(mp.mpf(low)), mp.sqrt(top), 60 + 6 * p)
        inner = [[part(alpha + i + 1, y * y) for y, _ in nodes] for i in range(p)]
        for j in range(p):
            # ∫ f_j(t) (2 F_i(t) - F_i(high)) dt by Gauss–Legendre in √t
            density = [
                w * 2 * y * mp.power(y * y, alpha + j) * mp.exp(-y * y / 2) for y, w in nodes
            ]
            for i in range(j):
                value = 2 * mp.fdot(density, inner[i]) - single(i) * single(j)
                matrix[i, j], matrix[j, i] = value, -value
        if p % 2:
            for i in range(p):
                matrix[i, p], matrix[p, i] = single(i), -single(i)
        logs = mp.mpf(p) * p / 2 * mp.log(mp.pi) - mp.mpf(n) * p / 2 * mp.log(2)
        for half in (mp.mpf(n) / 2, mp.mpf(p) / 2):
            logs -= mp.mpf(p) * (p - 1) / 4 * mp.log(mp.pi)
            logs -= sum(mp.loggamma(half - mp.mpf(k) / 2) for k in range(p))
        return mp.exp(logs) * mp.sqrt(abs(mp.det(matrix)))


def _gauss(left, right, count):
    """Gauss–Legendre nodes and weights, by Newton's method from the cosine guess."""
    import mpmath as mp

    pairs = []
    for k in range(count):
        x = mp.cos(mp.pi * (k + mp.mpf(3) / 4) / (count + mp.mpf(1) / 2))
        for _ in range(8):
            before, value = mp.mpf(1), x
            for degree in range(2, count + 1):
                before, value = (
                    value,
                    ((2 * degree - 1) * x * value - (degree - 1) * before) / degree,
                )
            slope = count * (before - x * value) / (1 - x * x)
            x -= value / slope
        weight = 2 / ((1 - x * x) * slope**2)
        pairs.append((left + (right - left) * (1 + x) / 2, (right - left) / 2 * weight))
    return pairs
