"""Three of the published cells in torch: (x, state) -> state, or (y, state)."""

import torch
from torch import nn


class MinGRU(nn.Module):
    def __init__(self, inputs, units):
        super().__init__()
        self.hidden_size = units
        self.bh, self.bz = nn.Parameter(torch.zeros(units)), nn.Parameter(torch.zeros(units))
        self.wh, self.wz = (nn.Parameter(nn.init.xavier_uniform_(torch.empty(inputs, units))) for _ in range(2))

    def forward(self, x, h):
        z = torch.sigmoid(x @ self.wz + self.bz)
        return (1 - z) * h + z * (x @ self.wh + self.bh)


class DropoutLSTM(nn.Module):
    def __init__(self, inputs, units, rate=0.25):
        super().__init__()
        self.hidden_size, self.drop = units, nn.Dropout(rate)
        self.b = nn.Parameter(torch.zeros(4 * units))
        self.u = nn.Parameter(nn.init.xavier_uniform_(torch.empty(units, 4 * units)))
        self.w = nn.Parameter(nn.init.xavier_uniform_(torch.empty(inputs, 4 * units)))

    def forward(self, x, state):
        h, c = state
        i, f, g, o = (x @ self.w + h @ self.u + self.b).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * self.drop(torch.tanh(g))
        return torch.sigmoid(o) * torch.tanh(c), c


class DeltaNet(nn.Module):
    def __init__(self, inputs, units):
        super().__init__()
        self.units = units
        draw = lambda width: nn.Parameter(nn.init.xavier_uniform_(torch.empty(inputs, width)))
        self.wb, self.wk, self.wq, self.wv = draw(1), draw(units), draw(units), draw(units)

    def initial_state(self, batch):
        return torch.zeros(batch, self.units, self.units)

    def forward(self, x, state):
        k, q = torch.softmax(x @ self.wk, -1), torch.softmax(x @ self.wq, -1)
        old = torch.einsum("bij,bj->bi", state, k)
        written = torch.sigmoid(x @ self.wb) * (x @ self.wv - old)
        state = state + torch.einsum("bi,bj->bij", written, k)
        return torch.einsum("bij,bj->bi", state, q), state
