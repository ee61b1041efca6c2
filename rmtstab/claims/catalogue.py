"""The claims of a validation run, in the order of the report."""

from __future__ import annotations

from rmtstab.claims import judges
from rmtstab.claims.limit_claims import LIMIT_CLAIMS
from rmtstab.claims.registry import Claim
from rmtstab.claims.theory_claims import THEORY_CLAIMS

_COMPARISON = "α = 0.3, batches 16/4 of 48/12 (quick, full), three step-size protocols"
_MAP = "η = ½ η*(α = 0) at the map's smallest batch, so that plain SGD is stable at every cell"
_HORIZON = "100 steps (quick), 150 (full); radius 10; start 1e-7‖w*‖ in the gradients' range"
_KOU = "two-layer ReLU CNN, half squared error, interpolating weights, signal-plus-noise data"
_MAPS_FAIL = (
    "beyond the linear regime (natural displacements, reported below), and with the mean-square "
    "frontier in its place in the heavy-tailed zone (heavy-tailed-zone-resists)"
)


NETWORK_CLAIMS = (
    Claim(
        name="resistance-rises-with-snr",
        statement="Models with a higher signal-to-noise ratio resist unlearning: retain loss paid "
        "per unit of forget loss gained along the escape rises with SNR under every step-size "
        "protocol.",
        latex=r"\Psi(\alpha)=\mathrm{tr}(H_R M_1)/\mathrm{tr}(H_F M_1)\ \text{rises with SNR}",
        assumptions=_KOU + "; ρ > 1",
        normalisation=_COMPARISON,
        horizon="none for the exact Ψ; first tenfold forget loss for the observed one",
        source="derived in docs/theory/resistance; ordering: Khanna & Chang, arXiv:2602.02986",
        fails="below the transition at which the signal enters the escape direction (SNR about "
        "0.2 here: 0 and 0.1 differ by less than the spread of data sets), and for κ = 2 instead "
        "of 10 at finite horizon",
        judge=judges.resistance_rises,
        needs=("networks", "escapes"),
    ),
    Claim(
        name="finite-horizon-resistance",
        statement="The observed ratio of loss growths at the first tenfold forget loss is the one "
        "that Φᵏ predicts.",
        latex=r"(R_t/R_0)/(F_t/F_0)\ \text{at}\ F_t\ge10F_0",
        assumptions=_KOU + "; linear regime; losses averaged over replicas",
        normalisation=_COMPARISON,
        horizon="first tenfold forget loss",
        source="derived in docs/theory/resistance",
        fails="for the median of single runs: one isotropic start may miss the signal directions",
        judge=judges.finite_resistance,
        needs=("networks", "escapes"),
    ),
    Claim(
        name="escape-slows-with-snr-when-scaled",
        statement="Escape takes longer at higher SNR when the step follows the sharpness or "
        "plain SGD's own threshold.",
        latex=r"\eta=\tfrac12\eta^*(0)\ \text{or}\ 0.05/\lambda_{\max}(H_R):\ k_{\rm esc}\uparrow",
        assumptions=_KOU,
        normalisation=_COMPARISON.replace("three", "two"),
        horizon="first passage of the median run to radius 10",
        source="Khanna & Chang, arXiv:2602.02986",
        fails="at one common step size (next claim), and for the SGD-scaled step at batches 4/1, "
        "where the threshold itself moves with SNR",
        judge=judges.escape_slows_when_scaled,
        needs=("networks", "escapes"),
    ),
    Claim(
        name="escape-quickens-with-snr-at-common-step",
        statement="At one common step size the order reverses: high-SNR models escape sooner.",
        latex=r"\eta\ \text{common}:\ k_{\rm esc}\downarrow",
        assumptions=_KOU,
        normalisation="α = 0.3, one step size for all networks (half the least closed-form "
        "threshold of plain SGD)",
        horizon="first passage of the median run to radius 10",
        source="derived in docs/theory/resistance",
        fails="under both scaled protocols (previous claim)",
        judge=judges.escape_quickens_at_common_step,
        needs=("networks", "escapes"),
    ),
    Claim(
        name="plain-sgd-stable",
        statement="At every step size in use, plain SGD on the retain set is mean-square stable: "
        "an escape at α > 0 is unlearning.",
        latex=r"\rho(\Phi)|_{\alpha=0}<1",
        assumptions="growth on the range of the retain gradients",
        normalisation="all protocols and maps",
        horizon="none",
        source="derived in docs/theory",
        fails="at half the inverse sharpness and SNR ≤ 0.1 (collapse without forgetting, below)",
        judge=judges.plain_sgd_stable,
    ),
    Claim(
        name="typical-frontier-classifies-runs",
        statement="The typical finite-time frontier separates escaping from resisting real "
        "networks.",
        latex=r"\mathrm{median}\,\max_{k\le K}\|w_k\|/\|w_0\|\gtrless R",
        assumptions=_KOU + "; linear regime; class by the median replica",
        normalisation=_MAP,
        horizon=_HORIZON,
        source="derived in docs/theory",
        fails=_MAPS_FAIL,
        judge=judges.heatmaps,
        needs=("networks", "outcomes"),
    ),
    Claim(
        name="typical-frontier-classifies-runs-on-digits",
        statement="The same on real images: digits 0–4 against 5–9, forgetting a random subset "
        "and all sevens.",
        latex=r"\mathrm{median}\,\max_{k\le K}\|w_k\|/\|w_0\|\gtrless R",
        assumptions="the same CNN on four 6 × 6 patches of 8 × 8 images",
        normalisation=_MAP,
        horizon=_HORIZON,
        source="derived in docs/theory",
        fails=_MAPS_FAIL,
        judge=judges.heatmaps_digits,
        needs=("networks", "outcomes"),
    ),
    Claim(
        name="heavy-tailed-zone-resists",
        statement="Between the two frontiers, where the mean square escapes and the typical run "
        "does not, real networks resist.",
        latex=r"E\|w\|^2\ge R^2,\ \mathrm{median}\|w\|<R:\ \text{resists}",
        assumptions="as above, all maps together; class by the median replica",
        normalisation=_MAP,
        horizon=_HORIZON,
        source="derived in docs/theory",
        fails="for the mean-square frontier, which calls every one of these cells an escape",
        judge=judges.heavy_tailed_zone,
        needs=("networks", "outcomes"),
    ),
    Claim(
        name="typical-frontier-at-natural-displacement",
        statement="The same maps started 5 % of ‖w*‖ away (reported, no threshold).",
        latex=r"\|w_0-w^*\|=0.05\|w^*\|",
        assumptions="none: masks flip",
        normalisation=_MAP,
        horizon="as above, start 0.05‖w*‖",
        source="measured",
        fails="not a claim",
        judge=judges.heatmaps_natural,
        needs=("networks", "outcomes"),
    ),
    Claim(
        name="forget-loss-follows-displacement",
        statement="Class by forget loss (hundredfold) against class by displacement (tenfold), "
        "α > 0 (reported, no threshold).",
        latex=r"F_t\ge R^2F_0\ \text{against}\ \|w_t\|\ge R\|w_0\|",
        assumptions=_KOU,
        normalisation=_MAP,
        horizon=_HORIZON,
        source="measured",
        fails="not a claim: escape is not forgetting",
        judge=judges.forget_loss_class,
        needs=("networks", "outcomes"),
    ),
    Claim(
        name="collapse-without-forgetting",
        statement="At η = ½/λ_max(H_R) and batches 4/1, plain SGD itself escapes at SNR ≤ 0.1 "
        "and is stable at SNR ≥ 1: the first is collapse, not unlearning.",
        latex=r"\alpha=0,\ \eta=\tfrac12/\lambda_{\max}(H_R)",
        assumptions=_KOU,
        normalisation="η = ½/λ_max(H_R), smallest batches",
        horizon=_HORIZON,
        source="derived in docs/theory/resistance",
        fails="at half of plain SGD's own threshold, where no α = 0 cell escapes",
        judge=judges.collapse,
        needs=("networks", "collapse"),
    ),
    Claim(
        name="one-step-moment-on-real-runs",
        statement="Along real runs the expected squared displacement after one step is tr Φ(wwᵀ).",
        latex=r"\mathbb E[\|w^+\|^2\mid w]=\mathrm{tr}\,\Phi(ww^\top)",
        assumptions="linear regime, mini-batches without replacement",
        normalisation=_MAP + "; α = 0.3, the map's middle batches",
        horizon="one step, at 0, ½ and 1 of the predicted escape time",
        source="derived in docs/theory",
        fails="with the noise of another sampling scheme (deviations beside it)",
        judge=judges.one_step,
        needs=("networks", "one_step"),
    ),
    Claim(
        name="mean-square-where-the-mean-drives",
        statement="Over many steps the mean square of real runs is Φᵏ's where the noise-free mean "
        "carries at least 0.9 of log ρ.",
        latex=r"\mathbb E\|w_k\|^2=\mathrm{tr}\,\Phi^k(M_0)",
        assumptions=_KOU + "; linear regime",
        normalisation=_MAP + "; the map's fastest mean-driven cell with noisy batches",
        horizon="K/4, K/2, 3K/4, K steps",
        source="derived in docs/theory",
        fails="where noise drives the escape: rare runs carry the mean square there, and no "
        "replica mean can confirm it",
        judge=judges.many_steps,
        needs=("networks", "trajectories"),
    ),
    Claim(
        name="median-run-where-noise-drives",
        statement="Where noise drives most, the median real run is the median linearised run, "
        "and lies below the mean square.",
        latex=r"\mathrm{median}\log\|w_K\|",
        assumptions=_KOU + "; linear regime",
        normalisation=_MAP + "; the map's least mean-driven escaping cell",
        horizon="K steps",
        source="derived in docs/theory",
        fails="for the mean square itself, which lies above the median by the gap shown",
        judge=judges.median_run,
        needs=("networks", "trajectories"),
    ),
    Claim(
        name="curvature-is-rank-one",
        statement="The closed-form Gram matrix has the network's own sharpness, by autograd "
        "Hessian-vector products.",
        latex=r"\lambda_{\max}(K/n)=\lambda_{\max}(\nabla^2 L)",
        assumptions="interpolating weights away from kinks",
        normalisation="none",
        horizon="none",
        source="derived in docs/theory/cnn",
        fails="away from interpolation, for losses with curvature in f (the residual term)",
        judge=judges.curvature,
    ),
    Claim(
        name="networks-interpolate",
        statement="Every trained network interpolates its data.",
        latex=r"L(w^*)<10^{-20}",
        assumptions="Gauss–Newton polish in sample space",
        normalisation="none",
        horizon="none",
        source="measured",
        fails="with gradient descent alone, which stalls near 1e-5 at high SNR",
        judge=judges.interpolation,
    ),
    Claim(
        name="closed-form-resistance-on-trained-networks",
        statement="Closed-form Ψ(SNR) beside the exact Ψ of trained networks (reported, no "
        "threshold: trained masks are not independent).",
        latex=r"\Psi=\left(\frac{x-u\alpha/n_f}{x+u(1-\alpha)/n_r}\right)^2",
        assumptions="independent masks, n and d large",
        normalisation="α = 0.3, sharpness-scaled step",
        horizon="none",
        source="derived in docs/theory/cnn",
        fails="not a claim on trained networks; see escape-formula for independent masks",
        judge=judges.closed_form_resistance,
    ),
)

CLAIMS = NETWORK_CLAIMS + THEORY_CLAIMS + LIMIT_CLAIMS
