# docker build -t lasem . && docker run --rm -v "$PWD:/work" lasem run digits/lasem-hps
# With an NVIDIA GPU: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 -t lasem .
FROM python:3.12-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY constraints.txt ./
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" --constraint constraints.txt torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --constraint constraints.txt ".[data,report,export,tracking,weights]" && rm -rf /src
RUN useradd --create-home lasem && mkdir /work && chown lasem /work
USER lasem
WORKDIR /work
ENTRYPOINT ["lasem"]
CMD ["--help"]
