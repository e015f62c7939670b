from lasem.export._card import model_card as model_card
from lasem.export._export import FORMATS as FORMATS
from lasem.export._export import Exported as Exported
from lasem.export._export import export_network as export_network
from lasem.export._hub import push_to_hub as push_to_hub
from lasem.export._network import PixelNetwork as PixelNetwork
