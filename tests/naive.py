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


# --- the second-moment operator, dense --------------------------------------------------------


def inclusion_covariance(n, batch_size, sampling):
    """Covariance of the inclusion counts x_i/B, by its definition."""
    b = batch_size
    if sampling == "bernoulli":
        return np.eye(n) * (b / n) * (1 - b / n) / b**2
    if sampling == "with_replacement":
        return (np.eye(n) / n - 1.0 / n**2) / b
    if n == 1:
        return np.zeros((1, 1))
    together = b * (b - 1) / (n * (n - 1))
    second = np.full((n, n), together)
    np.fill_diagonal(second, b / n)
    return (second - (b / n) ** 2) / b**2


def second_moment_matrix(retain, forget, step_size, batch_size, alpha, sampling):
    """Kronecker matrix of Φ on vec(M), from explicit d × d Hessians."""
    d = retain[0].shape[0]
    mean = np.zeros((d, d))
    noise = np.zeros((d * d, d * d))
    for hessians, b, a in zip((retain, forget), batch_size, (1 - alpha, -alpha), strict=True):
        if a == 0 or len(hessians) == 0:
            continue
        mean += a * np.mean(hessians, axis=0)
        covariance = inclusion_covariance(len(hessians), b, sampling)
        for i, first in enumerate(hessians):
            for k, second in enumerate(hessians):
                noise += a * a * covariance[i, k] * np.kron(first, second)
    jacobian = np.eye(d) - step_size * mean
    return np.kron(jacobian, jacobian) + step_size**2 * noise
