"""Networks' derivatives by loops over autograd: imports nothing of ours."""

import copy

import torch


def jacobian(model, inputs, names=None):
    """∂f_ic/∂w, shape (n C, d), one backward pass an output."""
    weights = [p for name, p in model.named_parameters() if names is None or name in names]
    flags = [p.requires_grad for p in weights]
    for p in weights:
        p.requires_grad_(True)
    outputs = (model(**inputs) if isinstance(inputs, dict) else model(inputs)).flatten()
    rows = [
        torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(
                    value, weights, retain_graph=True, materialize_grads=True
                )
            ]
        )
        for value in outputs
    ]
    for p, flag in zip(weights, flags, strict=True):
        p.requires_grad_(flag)
    return torch.stack(rows).double()


def output_hessian(loss, outputs, targets):
    """∇² of the user's batch loss in all outputs, shape (n C, n C), float64."""
    if isinstance(loss, torch.nn.Module):
        loss = copy.deepcopy(loss).double()
    targets = targets.double() if targets.is_floating_point() else targets
    shape = outputs.shape

    def flat(values):
        return loss(values.reshape(shape), targets)

    return torch.autograd.functional.hessian(flat, outputs.detach().double().flatten())


def gauss_newton(model, loss, inputs, targets, names=None):
    """``Jᵀ ∇²_f L J`` of the user's batch loss, shape (d, d)."""
    j = jacobian(model, inputs, names)
    with torch.no_grad():
        outputs = model(**inputs) if isinstance(inputs, dict) else model(inputs)
    return j.T @ output_hessian(loss, outputs, targets) @ j


def gradient(model, loss, inputs, targets):
    """∇L of the user's batch loss in the weights that move, shape (d,)."""
    weights = [p for p in model.parameters() if p.requires_grad]
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss(model(inputs), targets), weights)]
    ).double()


def hessian(model, loss, inputs, targets):
    """∇²L of the user's batch loss in the weights that move, shape (d, d), differentiated twice."""
    weights = [p for p in model.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(loss(model(inputs), targets), weights, create_graph=True)
    flat = torch.cat([g.flatten() for g in slopes])
    rows = [
        torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(
                    value, weights, retain_graph=True, materialize_grads=True
                )
            ]
        )
        for value in flat
    ]
    return torch.stack(rows).double()
