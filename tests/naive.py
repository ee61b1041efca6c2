"""Naive references: plain loops and dense matrices, importing nothing of ours."""


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
