"""Naive references: plain loops and dense matrices, importing nothing of ours."""

# --- laws: textbook formulas at 80 digits ----------------------------------------------


def marchenko_pastur(x, ratio, scale=1.0):
    """Return (pdf, cdf, sf) from the textbook arcsine form."""
    import mpmath as mp

    with mp.workdps(80):
        sigma = mp.mpf(float(scale))
        x, gamma = mp.mpf(float(x)) / sigma, mp.mpf(float(ratio))
        lam, y, mass = (gamma, x, mp.mpf(1)) if gamma <= 1 else (1 / gamma, x / gamma, 1 / gamma)
        low, high = (1 - mp.sqrt(lam)) ** 2, (1 + mp.sqrt(lam)) ** 2
        if y <= low:
            below, density = mp.mpf(0), mp.inf if low == y == 0 else mp.mpf(0)
        elif y >= high:
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
