"""Problems that try the bounds: every shape, scale and degeneracy, with ρ by brute force."""

from dataclasses import dataclass

import numpy as np

import rmtstab as rs
from tests import naive

SAMPLINGS = ("bernoulli", "without_replacement", "with_replacement")
KINDS = ("plain", "decades", "heavy", "duplicates", "orthogonal", "aligned", "zeros", "apart")


@dataclass(frozen=True)
class Case:
    """Factors (n, C, d) of both sets and the hyper-parameters."""

    retain: np.ndarray
    forget: np.ndarray
    step: float
    batch: tuple
    alpha: float
    sampling: str
    decay: float

    def dynamics(self):
        problem = rs.UnlearningProblem.from_factors(self.retain, self.forget)
        return problem.dynamics(
            step_size=self.step, batch_size=self.batch, alpha=self.alpha, sampling=self.sampling,
            weight_decay=self.decay,
        )  # fmt: skip

    def exact(self):
        """ρ by the dense Kronecker operator of explicit Hessians; None without curvature."""
        sets = [s for s, a in ((self.retain, 1 - self.alpha), (self.forget, self.alpha)) if a > 0]
        rows = np.concatenate([s.reshape(-1, s.shape[-1]) for s in sets])
        _, singular, vt = np.linalg.svd(rows, full_matrices=False)
        keep = singular > max(rows.shape) * 2.3e-16 * max(singular[0], 1e-300)
        q = vt[keep].T
        if not q.shape[1]:
            return None
        hessians = [np.einsum("ncp,ncq->npq", f @ q, f @ q) for f in (self.retain, self.forget)]
        matrix = naive.second_moment(
            *hessians, self.step, self.batch, self.alpha, self.sampling, self.decay
        )
        return float(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[-1])


def draw(seed):
    """One case from a seed."""
    rng = np.random.default_rng(seed)
    d, c = int(rng.integers(1, 5)), int(rng.integers(1, 3))
    n_retain, n_forget = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    n = n_retain + n_forget
    z = rng.standard_normal((n, c, d))
    z *= rng.random((1, 1, d)) < 0.85
    kind = KINDS[int(rng.integers(len(KINDS)))]
    if kind == "decades":  # Hessians over 12 decades
        z *= 10.0 ** rng.uniform(-6.0, 0.0, (n, 1, 1))
    elif kind == "heavy":
        z[int(rng.integers(n))] *= 10.0
    elif kind == "duplicates":
        z = z[rng.integers(n, size=n)]
    elif kind == "orthogonal":
        z = np.eye(max(d, 2))[rng.integers(max(d, 2), size=(n, c))][:, :, :d] * rng.uniform(0.5, 2)
    elif kind == "aligned":
        z = rng.standard_normal((n, c, 1)) * rng.standard_normal(d) + 1e-3 * z
    elif kind == "zeros":
        z[int(rng.integers(n))] = 0.0
    elif kind == "apart" and d > 1:  # retain and forget share no direction
        z[:n_retain, :, : d // 2] = 0.0
        z[n_retain:, :, d // 2 :] = 0.0
    sampling = SAMPLINGS[int(rng.integers(3))]
    batch = [int(rng.integers(1, k + 1)) for k in (n_retain, n_forget)]
    if sampling == "bernoulli" and rng.random() < 0.5:
        batch = [float(k * 10.0 ** rng.uniform(-3, 0)) for k in (n_retain, n_forget)]
    alpha = float(rng.choice([0.0, 0.05, 0.3, 0.7, 1.0]))
    weights = np.repeat([(1 - alpha) / n_retain, alpha / n_forget], [n_retain, n_forget])
    rows = (np.sqrt(weights)[:, None, None] * z).reshape(n * c, d)
    top = float(np.linalg.norm(rows, 2)) ** 2 or 1.0
    step = 10.0 ** rng.uniform(-1.5, 0.6) / top
    decay = float(rng.choice([0.0, 0.0, 0.2])) * top
    return Case(z[:n_retain], z[n_retain:], step, tuple(batch), alpha, sampling, decay)


def violations(bounds, rho, slack=1e-10):
    """Names of the bounds that the exact ρ violates, each way it can be violated."""
    wrong = []
    room = slack * max(rho, 1.0)
    for b in bounds:
        if b.kind == "necessary":
            bad = b.rho_bound > rho + room
            # a bound above 1 must be beyond its own threshold, and rightly so
            bad |= not b.satisfied and rho <= 1.0 - room
        else:
            bad = b.rho_bound < rho - room
            bad |= b.satisfied and rho > 1.0 + room
        if bad:
            wrong.append(b.name)
    return wrong
