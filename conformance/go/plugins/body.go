package plugins

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"

	pkgHTTP "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/log"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func init() { register(&Body{}) }

// Body reads the request's body and says what it saw in two request headers,
// so the body goes on to the upstream as well.
type Body struct{ plugin.DefaultPlugin }

type BodyConf struct{}

func (p *Body) Name() string { return "conf-body" }

func (p *Body) ParseConf(in []byte) (interface{}, error) { return parse[BodyConf](in) }

func (p *Body) RequestFilter(conf interface{}, w http.ResponseWriter, r pkgHTTP.Request) {
	body, err := r.Body()
	if err != nil {
		log.Errorf("request body: %s", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(body)
	r.Header().Set("X-Body-Length", strconv.Itoa(len(body)))
	r.Header().Set("X-Body-Sha256", hex.EncodeToString(sum[:]))
}
