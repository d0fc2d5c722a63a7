"""The PTX of a kernel, read."""

import re


class Program:
    """One kernel."""

    def __init__(self, ptx):
        head, _, body = ptx.partition(".entry")[2].partition("{")
        self.parameters = re.findall(r"\.param \.\w+ (?:\.\w+ )*(\w+)", head)
        most = re.search(r"\.maxntid (\d+)", head)
        self.most_threads = int(most[1]) if most else 1024
        self.shared, self.shared_bytes = self._declared(ptx, "shared")
        self.local, self.local_bytes = self._declared(body, "local")
        self.blocks, self.starts = [], {}
        self._read(body.rpartition("}")[0])

    @staticmethod
    def _declared(text, space):
        places, size = {}, 0
        for alignment, name, count in re.findall(rf"\.{space} \.align (\d+) \.b8 (\w+)\[(\d+)\]", text):
            size += -size % int(alignment)
            places[name], size = size, size + int(count)
        return places, size

    def _read(self, body):
        """Instructions in blocks that end where threads may part or wait."""
        self.blocks.append([])
        # Braces around a scope stand alone on their lines; those around halves of a register do not.
        for line in re.sub(r"//.*|^\s*[{}]\s*$", "", body, flags=re.MULTILINE).replace(":", ":;").split(";"):
            line = line.strip()
            if line.endswith(":"):
                if self.blocks[-1]:
                    self.blocks.append([])
                self.starts[line[:-1]] = len(self.blocks) - 1
            elif line and not line.startswith("."):
                guard, operation, operands = re.fullmatch(r"(?:@(!?%\w+)\s+)?([\w.]+)\s*(.*)", line).groups()
                parts = [part.strip() for part in re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", operands)]
                self.blocks[-1].append((guard, operation.split("."), parts))
                if operation.split(".")[0] in ("bra", "ret", "bar"):
                    self.blocks.append([])
